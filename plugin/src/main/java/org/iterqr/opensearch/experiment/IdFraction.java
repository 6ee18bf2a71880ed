package org.iterqr.opensearch.experiment;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** Spreads ids evenly and repeatably: the same everywhere and for ever. */
public final class IdFraction {
  private static final int DOUBLE_PRECISION_BITS = 53;

  private IdFraction() {}

  /**
   * The first 53 bits of SHA-256 of purpose, a zero byte and id in UTF-8, as a fraction.
   *
   * @param purpose fractions for different purposes are independent of each other
   * @param id any text
   * @return from 0 to below 1
   */
  public static double of(String purpose, String id) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      sha.update(purpose.getBytes(StandardCharsets.UTF_8));
      sha.update((byte) 0);
      long bits = ByteBuffer.wrap(sha.digest(id.getBytes(StandardCharsets.UTF_8))).getLong();
      return (bits >>> (Long.SIZE - DOUBLE_PRECISION_BITS)) * 0x1p-53;
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
