package org.iterqr.opensearch.identity;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.opensearch.common.settings.KeyStoreWrapper;
import org.opensearch.common.settings.Settings;

class ClientIdHasherTests {
  /** As {@code hmac.new(b"0123456789abcdef", "clïent".encode(), "sha256")} in Python. */
  private static final String EXPECTED =
      "68281a268c9144bfe7bda18fb638cc4709c0d762583c8c22e6a6ab39fa737c6f";

  private static Settings withKey(String key) {
    KeyStoreWrapper keystore = KeyStoreWrapper.create();
    keystore.setString(ClientIdHasher.KEY.getKey(), key.toCharArray());
    return Settings.builder().setSecureSettings(keystore).build();
  }

  @Test
  void hashesAreHmacSha256() {
    ClientIdHasher hasher = ClientIdHasher.of(withKey("0123456789abcdef"));
    assertTrue(hasher.hasKey());
    assertEquals(EXPECTED, hasher.hash("clïent"));
    assertEquals("", hasher.hash(""));
  }

  @Test
  void withoutAKeyThereAreNoClientIds() {
    ClientIdHasher hasher = ClientIdHasher.of(Settings.EMPTY);
    assertFalse(hasher.hasKey());
    assertEquals("", hasher.hash("client"));
  }

  @Test
  void aShortKeyIsNone() {
    ClientIdHasher hasher = ClientIdHasher.of(withKey("0123456789abcde"));
    assertFalse(hasher.hasKey());
    assertEquals("", hasher.hash("client"));
  }
}
