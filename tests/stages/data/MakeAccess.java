// Writes the Access databases beside it, by Jackcess 4.0.8 (com.healthmarketscience.jackcess,
// Apache-2.0), which brings the empty templates: java -cp '…jars…' MakeAccess.java FILE FORMAT ROWS
import com.healthmarketscience.jackcess.*;
import java.io.File;
import java.time.LocalDateTime;

public class MakeAccess {
    public static void main(String[] args) throws Exception {
        var format = Database.FileFormat.valueOf(args[1]);
        int rows = Integer.parseInt(args[2]);
        try (Database made = DatabaseBuilder.create(format, new File(args[0]))) {
            Table audit = new TableBuilder("ممیزی")
                .addColumn(new ColumnBuilder("کد", DataType.TEXT).setLengthInUnits(30))
                .addColumn(new ColumnBuilder("پستی", DataType.TEXT).setLengthInUnits(10))
                .addColumn(new ColumnBuilder("عرصه", DataType.DOUBLE))
                .addColumn(new ColumnBuilder("طبقات", DataType.LONG))
                .addColumn(new ColumnBuilder("بازدید", DataType.SHORT_DATE_TIME))
                .addColumn(new ColumnBuilder("وقفی", DataType.BOOLEAN))
                .addColumn(new ColumnBuilder("شرح", DataType.MEMO))
                .toTable(made);
            for (int n = 0; n < rows; n++) {
                audit.addRow("1-12-45-" + n, String.format("0371%06d", n), 200.25 + n, n % 5,
                    LocalDateTime.of(2018, 3, 21, 9, 30), n % 2 == 0,
                    n % 3 == 0 ? null : n % 3 == 1 ? "" : "کوچه «یاس», \"نبش\"\nپلاک ۱۲");
            }
            Table codes = new TableBuilder("codes")
                .addColumn(new ColumnBuilder("code", DataType.LONG))
                .toTable(made);
            codes.addRow(7);
        }
    }
}
