import java.io.FileInputStream;
import java.util.Set;
import java.util.TreeSet;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

/** Whether each file is what it says to be: a line a file, and one for each rule that it breaks. */
public class Check {
  public static void main(String[] names) throws Exception {
    VeraGreenfieldFoundryProvider.initialise();
    for (String name : names) {
      try (PDFAParser parser = Foundries.defaultInstance().createParser(new FileInputStream(name))) {
        ValidationResult found =
            Foundries.defaultInstance().createValidator(parser.getFlavour(), false).validate(parser);
        System.out.println((found.isCompliant() ? "good " : "bad ") + parser.getFlavour() + " " + name);
        Set<String> broken = new TreeSet<>();
        for (TestAssertion one : found.getTestAssertions()) {
          if (one.getStatus() == TestAssertion.Status.FAILED) {
            broken.add(one.getRuleId() + " " + one.getMessage());
          }
        }
        broken.forEach(System.out::println);
      }
    }
  }
}
