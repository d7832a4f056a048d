-- The folded form of texts by which they are searched: one function, never changed (pipeline/fold.py says the same).

CREATE FUNCTION makan.fold_case(written text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN written ~ '[\u00c0-\u024f\u0370-\u052f\u1e00-\u1eff]' THEN
        replace(translate(written,
            'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĴĶĹĻĽŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲỴỶỸỺỼỾςİ',
            'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĵķĺļľłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżžɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹỻỽỿσi'), 'ß', 'ss')
    ELSE written END
$$;
COMMENT ON FUNCTION makan.fold_case IS 'Capitals beyond ASCII as their small letters, independent of collations';

CREATE FUNCTION makan.fold(written text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT btrim(normalize(regexp_replace(makan.fold_case(translate(lower(
        regexp_replace(normalize(regexp_replace(written,
            '[\u0640\u00ad\u200b\u200d-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u0001-\u0008\u000e-\u001b\u007f]+', '', 'g'), NFKC),
            '[\u0640\u00ad\u200b\u200d-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u0001-\u0008\u000e-\u001b\u007f\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]+', '', 'g') COLLATE "C"),
        'يىئكۀةأإٱؤ۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩',
        'یییکههاااو01234567890123456789')),
        '[\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u200c\u2028\u2029\u202f\u205f\u3000]+', ' ', 'g'), NFC), ' ')
$$;
COMMENT ON FUNCTION makan.fold IS 'The search form of a text: one yeh, kaf, heh; ASCII digits; small letters; no marks; ZWNJ as a blank';


ALTER TABLE data.district
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED;
COMMENT ON COLUMN data.district.name_fa_key IS 'Folded for search: Name (Persian) | نام (فارسی)';
COMMENT ON COLUMN data.district.name_en_key IS 'Folded for search: Name (English) | نام (انگلیسی)';
CREATE INDEX ix_district_name_en_key ON data.district USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_district_name_fa_key ON data.district USING gin (name_fa_key gin_trgm_ops);

ALTER TABLE data.neighbourhood
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED,
    ADD COLUMN names_alternative_key TEXT GENERATED ALWAYS AS (makan.fold(names_alternative)) STORED;
COMMENT ON COLUMN data.neighbourhood.name_fa_key IS 'Folded for search: Neighbourhood name (Persian) | نام محله (فارسی)';
COMMENT ON COLUMN data.neighbourhood.name_en_key IS 'Folded for search: Neighbourhood name (English) | نام محله (انگلیسی)';
COMMENT ON COLUMN data.neighbourhood.names_alternative_key IS 'Folded for search: Other names | نام‌های دیگر';
CREATE INDEX ix_neighbourhood_name_en_key ON data.neighbourhood USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_neighbourhood_name_fa_key ON data.neighbourhood USING gin (name_fa_key gin_trgm_ops);
CREATE INDEX ix_neighbourhood_names_alternative_key ON data.neighbourhood USING gin (names_alternative_key gin_trgm_ops);

ALTER TABLE data.plan_document
    ADD COLUMN title_fa_key TEXT GENERATED ALWAYS AS (makan.fold(title_fa)) STORED,
    ADD COLUMN title_en_key TEXT GENERATED ALWAYS AS (makan.fold(title_en)) STORED;
COMMENT ON COLUMN data.plan_document.title_fa_key IS 'Folded for search: Title (Persian) | عنوان (فارسی)';
COMMENT ON COLUMN data.plan_document.title_en_key IS 'Folded for search: Title (English) | عنوان (انگلیسی)';
CREATE INDEX ix_plan_document_title_en_key ON data.plan_document USING gin (title_en_key gin_trgm_ops);
CREATE INDEX ix_plan_document_title_fa_key ON data.plan_document USING gin (title_fa_key gin_trgm_ops);

ALTER TABLE data.plan_road_line
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED;
COMMENT ON COLUMN data.plan_road_line.name_fa_key IS 'Folded for search: Street name (Persian) | نام معبر (فارسی)';
COMMENT ON COLUMN data.plan_road_line.name_en_key IS 'Folded for search: Street name (English) | نام معبر (انگلیسی)';
CREATE INDEX ix_plan_road_line_name_en_key ON data.plan_road_line USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_plan_road_line_name_fa_key ON data.plan_road_line USING gin (name_fa_key gin_trgm_ops);

ALTER TABLE data.poi
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED,
    ADD COLUMN address_text_key TEXT GENERATED ALWAYS AS (makan.fold(address_text)) STORED;
COMMENT ON COLUMN data.poi.name_fa_key IS 'Folded for search: Place name (Persian) | نام مکان (فارسی)';
COMMENT ON COLUMN data.poi.name_en_key IS 'Folded for search: Place name (English) | نام مکان (انگلیسی)';
COMMENT ON COLUMN data.poi.address_text_key IS 'Folded for search: Address as written | نشانی متنی';
CREATE INDEX ix_poi_address_text_key ON data.poi USING gin (address_text_key gin_trgm_ops);
CREATE INDEX ix_poi_name_en_key ON data.poi USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_poi_name_fa_key ON data.poi USING gin (name_fa_key gin_trgm_ops);

ALTER TABLE data.postcode
    ADD COLUMN address_text_key TEXT GENERATED ALWAYS AS (makan.fold(address_text)) STORED;
COMMENT ON COLUMN data.postcode.address_text_key IS 'Folded for search: Address as written | نشانی متنی';
CREATE INDEX ix_postcode_address_text_key ON data.postcode USING gin (address_text_key gin_trgm_ops);

ALTER TABLE data.postcode_area
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED;
COMMENT ON COLUMN data.postcode_area.name_fa_key IS 'Folded for search: Name (Persian) | نام (فارسی)';
COMMENT ON COLUMN data.postcode_area.name_en_key IS 'Folded for search: Name (English) | نام (انگلیسی)';
CREATE INDEX ix_postcode_area_name_en_key ON data.postcode_area USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_postcode_area_name_fa_key ON data.postcode_area USING gin (name_fa_key gin_trgm_ops);

ALTER TABLE data.project
    ADD COLUMN title_fa_key TEXT GENERATED ALWAYS AS (makan.fold(title_fa)) STORED,
    ADD COLUMN title_en_key TEXT GENERATED ALWAYS AS (makan.fold(title_en)) STORED;
COMMENT ON COLUMN data.project.title_fa_key IS 'Folded for search: Title (Persian) | عنوان (فارسی)';
COMMENT ON COLUMN data.project.title_en_key IS 'Folded for search: Title (English) | عنوان (انگلیسی)';
CREATE INDEX ix_project_title_en_key ON data.project USING gin (title_en_key gin_trgm_ops);
CREATE INDEX ix_project_title_fa_key ON data.project USING gin (title_fa_key gin_trgm_ops);

ALTER TABLE data.region
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED;
COMMENT ON COLUMN data.region.name_fa_key IS 'Folded for search: Name (Persian) | نام (فارسی)';
COMMENT ON COLUMN data.region.name_en_key IS 'Folded for search: Name (English) | نام (انگلیسی)';
CREATE INDEX ix_region_name_en_key ON data.region USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_region_name_fa_key ON data.region USING gin (name_fa_key gin_trgm_ops);

ALTER TABLE data.street
    ADD COLUMN name_fa_key TEXT GENERATED ALWAYS AS (makan.fold(name_fa)) STORED,
    ADD COLUMN name_en_key TEXT GENERATED ALWAYS AS (makan.fold(name_en)) STORED,
    ADD COLUMN names_alternative_key TEXT GENERATED ALWAYS AS (makan.fold(names_alternative)) STORED;
COMMENT ON COLUMN data.street.name_fa_key IS 'Folded for search: Street name (Persian) | نام معبر (فارسی)';
COMMENT ON COLUMN data.street.name_en_key IS 'Folded for search: Street name (English) | نام معبر (انگلیسی)';
COMMENT ON COLUMN data.street.names_alternative_key IS 'Folded for search: Other names | نام‌های دیگر';
CREATE INDEX ix_street_name_en_key ON data.street USING gin (name_en_key gin_trgm_ops);
CREATE INDEX ix_street_name_fa_key ON data.street USING gin (name_fa_key gin_trgm_ops);
CREATE INDEX ix_street_names_alternative_key ON data.street USING gin (names_alternative_key gin_trgm_ops);
