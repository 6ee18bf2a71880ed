package org.iterqr.opensearch.stats;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.opensearch.core.common.io.stream.StreamInput;

/** How {@link Stat}s travel between nodes: a byte that says which kind, then the value. */
final class StatWire {
  static final byte COUNT = 0;
  static final byte STATE = 1;
  static final byte LATENCY = 2;
  static final byte GROUP = 3;

  private StatWire() {}

  /**
   * @param in at a value
   * @return the value
   * @throws IOException if it is of no known kind
   */
  static Stat read(StreamInput in) throws IOException {
    byte kind = in.readByte();
    return switch (kind) {
      case COUNT -> new Stat.Count(in.readZLong());
      case STATE -> new Stat.State(in.readMap(StreamInput::readString, StreamInput::readVLong));
      case LATENCY -> new Stat.Latency(new HistogramSnapshot(in));
      case GROUP -> readGroup(in);
      default -> throw new IOException("unknown kind of statistic: " + kind);
    };
  }

  /** In the order they were written, which readMap does not keep. */
  static Stat.Group readGroup(StreamInput in) throws IOException {
    Map<String, Stat> members = new LinkedHashMap<>();
    for (int left = in.readVInt(); left > 0; left--) {
      members.put(in.readString(), read(in));
    }
    return new Stat.Group(members);
  }
}
