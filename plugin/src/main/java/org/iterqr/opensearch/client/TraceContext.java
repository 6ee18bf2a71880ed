package org.iterqr.opensearch.client;

import java.util.HexFormat;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Pattern;

/**
 * What ties the server's spans and logs to the search.
 *
 * @param traceparent W3C trace context header
 * @param requestId 1 to 64 characters of {@code [A-Za-z0-9_.:-]}
 */
public record TraceContext(String traceparent, String requestId) {
  /** The header searches carry the trace in, and the metadata key the server reads. */
  public static final String TRACEPARENT_HEADER = "traceparent";

  /** The metadata key of the request id. */
  public static final String REQUEST_ID_HEADER = "x-request-id";

  private static final Pattern TRACEPARENT =
      Pattern.compile("(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}");
  private static final Pattern REQUEST_ID = Pattern.compile("[A-Za-z0-9_.:-]{1,64}");

  /**
   * Takes over what the search carries, and makes what is absent or malformed.
   *
   * @param traceparent the search's header, or null
   * @param opaqueId the search's X-Opaque-Id, or null
   * @return both, valid
   */
  public static TraceContext of(String traceparent, String opaqueId) {
    ThreadLocalRandom random = ThreadLocalRandom.current();
    boolean knownTrace = traceparent != null && TRACEPARENT.matcher(traceparent).matches();
    boolean knownId = opaqueId != null && REQUEST_ID.matcher(opaqueId).matches();
    return new TraceContext(
        knownTrace ? traceparent : newTraceparent(random),
        knownId ? opaqueId : hex(random.nextLong()) + hex(random.nextLong()));
  }

  private static String newTraceparent(ThreadLocalRandom random) {
    // The low halves are never zero, so the identifiers never are.
    return "00-"
        + hex(random.nextLong())
        + hex(random.nextLong(1, Long.MAX_VALUE))
        + "-"
        + hex(random.nextLong(1, Long.MAX_VALUE))
        + "-01";
  }

  private static String hex(long value) {
    return HexFormat.of().toHexDigits(value);
  }
}
