package org.iterqr.opensearch.identity;

import java.nio.charset.StandardCharsets;
import java.security.InvalidKeyException;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.opensearch.common.settings.SecureSetting;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.common.settings.SecureString;

/**
 * Replaces client ids by HMAC-SHA256 under a key that never leaves the keystore, so that logs tell
 * clients apart but do not name them. UBI events are hashed with the same key where they are
 * collected. Without a key, or with one too short to be one, there are no client ids. Thread-safe.
 */
public final class ClientIdHasher {
  /** In the keystore; read when the node starts. */
  public static final Setting<SecureString> KEY =
      SecureSetting.secureString("plugins.iterqr.client_id.hash_key", null);

  private static final Logger logger = LogManager.getLogger(ClientIdHasher.class);

  private static final int MIN_KEY_CHARACTERS = 16;
  private static final String ALGORITHM = "HmacSHA256";

  private final SecretKeySpec key;

  private ClientIdHasher(SecretKeySpec key) {
    this.key = key;
  }

  /**
   * @param settings of the node, while its keystore is open
   * @return a hasher with the keystore's key, if there is one; one that is too short is logged and
   *     left alone, for a search node must not stay down because of a log
   */
  public static ClientIdHasher of(Settings settings) {
    if (!KEY.exists(settings)) {
      return new ClientIdHasher(null);
    }
    try (SecureString secret = KEY.get(settings)) {
      if (secret.length() < MIN_KEY_CHARACTERS) {
        logger.error(
            "[{}] must have at least {} characters: no client ids are logged",
            KEY.getKey(),
            MIN_KEY_CHARACTERS);
        return new ClientIdHasher(null);
      }
      byte[] bytes = secret.toString().getBytes(StandardCharsets.UTF_8);
      SecretKeySpec key = new SecretKeySpec(bytes, ALGORITHM);
      Arrays.fill(bytes, (byte) 0);
      return new ClientIdHasher(key);
    }
  }

  /**
   * @return whether there is a key
   */
  public boolean hasKey() {
    return key != null;
  }

  /**
   * @param clientId as the application sends it
   * @return 64 hexadecimal digits; empty without a key or an id
   */
  public String hash(String clientId) {
    if (key == null || clientId.isEmpty()) {
      return "";
    }
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(key);
      return HexFormat.of().formatHex(mac.doFinal(clientId.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException | InvalidKeyException e) {
      throw new IllegalStateException("every Java platform has HmacSHA256", e);
    }
  }
}
