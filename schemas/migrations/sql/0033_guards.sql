-- A bulk load asks a layer's guards when all of its rows are there, and those that they would refuse have been set aside.
DROP TRIGGER one_approved_edition ON data.plan_document;
CREATE CONSTRAINT TRIGGER one_approved_edition AFTER INSERT OR UPDATE ON data.plan_document
DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION ops.one_approved_edition();
