package org.iterqr.opensearch.client;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where the rewrite server listens.
 *
 * @param host name or address; an IPv6 address without brackets
 * @param port 1 to 65535
 */
public record Endpoint(String host, int port) {
  private static final Pattern FORM =
      Pattern.compile("(?:\\[([0-9A-Fa-f:.]+)]|([A-Za-z0-9_.-]+)):([0-9]{1,5})");

  /**
   * @param value {@code host:port} or {@code [ipv6]:port}
   * @return the endpoint
   * @throws IllegalArgumentException if it is not of that form
   */
  public static Endpoint parse(String value) {
    Matcher matcher = FORM.matcher(value);
    if (matcher.matches()) {
      int port = Integer.parseInt(matcher.group(3));
      String host = matcher.group(1) != null ? matcher.group(1) : matcher.group(2);
      if (port >= 1 && port <= 65_535 && isHost(host)) {
        return new Endpoint(host, port);
      }
    }
    throw new IllegalArgumentException(
        "must be host:port with a valid host name or address, but was [" + value + "]");
  }

  /** As gRPC sees it, which throws at others when it is too late to refuse the setting. */
  private static boolean isHost(String host) {
    try {
      return new URI(null, null, host, -1, null, null, null).getHost() != null;
    } catch (URISyntaxException e) {
      return false;
    }
  }

  /** In the form that {@link #parse} reads. */
  @Override
  public String toString() {
    return (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
  }
}
