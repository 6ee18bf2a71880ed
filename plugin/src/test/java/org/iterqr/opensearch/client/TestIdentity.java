package org.iterqr.opensearch.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.EncryptedPrivateKeyInfo;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.PBEKeySpec;
import javax.crypto.spec.PBEParameterSpec;

/**
 * A self-signed certificate and its key, which is trusted by whoever trusts the certificate.
 *
 * @param certificate PEM file
 * @param key PEM file, PKCS#8
 */
record TestIdentity(Path certificate, Path key) {
  private static final String PASSWORD = "changeit";

  /**
   * @param folder for the files
   * @param name of the files, and a DNS name that the certificate is good for
   * @return a new identity, good for 127.0.0.1 too
   */
  static TestIdentity make(Path folder, String name)
      throws IOException, InterruptedException, GeneralSecurityException {
    Path store = folder.resolve(name + ".p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                name,
                "-keyalg",
                "EC",
                "-dname",
                "CN=" + name,
                "-ext",
                "san=dns:" + name + ",ip:127.0.0.1",
                "-validity",
                "2",
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass",
                PASSWORD)
            .inheritIO()
            .start();
    if (keytool.waitFor() != 0) {
      throw new IOException("keytool ended with " + keytool.exitValue());
    }
    KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
    Certificate certificate = keys.getCertificate(name);
    Key key = keys.getKey(name, PASSWORD.toCharArray());
    return new TestIdentity(
        pem(folder.resolve(name + ".pem"), "CERTIFICATE", certificate.getEncoded()),
        pem(folder.resolve(name + ".key"), "PRIVATE KEY", key.getEncoded()));
  }

  /** The same key, encrypted. */
  Path encryptedKey(String passphrase) throws IOException, GeneralSecurityException {
    String[] lines = Files.readString(key).split("\n");
    byte[] plain =
        Base64.getMimeDecoder()
            .decode(String.join("", java.util.Arrays.copyOfRange(lines, 1, lines.length - 1)));
    String algorithm = "PBEWithHmacSHA256AndAES_256";
    Cipher cipher = Cipher.getInstance(algorithm);
    cipher.init(
        Cipher.ENCRYPT_MODE,
        SecretKeyFactory.getInstance(algorithm)
            .generateSecret(new PBEKeySpec(passphrase.toCharArray())),
        new PBEParameterSpec(new byte[16], 1_000, new IvParameterSpec(new byte[16])));
    AlgorithmParameters parameters = AlgorithmParameters.getInstance("PBES2");
    parameters.init(cipher.getParameters().getEncoded());
    byte[] encrypted = new EncryptedPrivateKeyInfo(parameters, cipher.doFinal(plain)).getEncoded();
    return pem(
        key.resolveSibling(key.getFileName() + ".encrypted"), "ENCRYPTED PRIVATE KEY", encrypted);
  }

  private static Path pem(Path file, String type, byte[] content) throws IOException {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
    return Files.writeString(
        file, "-----BEGIN " + type + "-----\n" + body + "\n-----END " + type + "-----\n");
  }
}
