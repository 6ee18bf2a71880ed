import java.nio.file.Path;
import org.opensearch.common.settings.KeyStoreWrapper;

/** Puts one string into the keystore of a config folder: folder, name, value. */
public final class KeystoreEntry {
  public static void main(String[] arguments) throws Exception {
    Path config = Path.of(arguments[0]);
    KeyStoreWrapper keystore = KeyStoreWrapper.load(config);
    if (keystore == null) {
      keystore = KeyStoreWrapper.create();
      KeyStoreWrapper.addBootstrapSeed(keystore);
    } else {
      keystore.decrypt(new char[0]);
    }
    keystore.setString(arguments[1], arguments[2].toCharArray());
    keystore.save(config, new char[0]);
  }
}
