package org.iterqr.opensearch.stats;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.common.io.stream.Writeable;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;

/** One value of the statistics. It can be sent, added to another node's, and shown. Immutable. */
public sealed interface Stat extends Writeable {
  /** A number that adds up over nodes: a counter, or how many things are there now. */
  record Count(long value) implements Stat {
    @Override
    public Stat plus(Stat other) {
      return new Count(value + ((Count) other).value);
    }

    @Override
    public void show(XContentBuilder builder, String name) throws IOException {
      builder.field(name, value);
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
      out.writeByte(StatWire.COUNT);
      out.writeZLong(value);
    }
  }

  /**
   * The state that something is in, shown as the number of nodes in each state.
   *
   * @param nodes by state
   */
  record State(Map<String, Long> nodes) implements Stat {
    /**
     * @param state of this node
     */
    public State(String state) {
      this(Map.of(state, 1L));
    }

    @Override
    public Stat plus(Stat other) {
      Map<String, Long> sum = new TreeMap<>(nodes);
      ((State) other).nodes.forEach((state, count) -> sum.merge(state, count, Long::sum));
      return new State(sum);
    }

    @Override
    public void show(XContentBuilder builder, String name) throws IOException {
      builder.field(name, nodes);
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
      out.writeByte(StatWire.STATE);
      out.writeMap(nodes, StreamOutput::writeString, StreamOutput::writeVLong);
    }
  }

  /** How long something took. */
  record Latency(HistogramSnapshot times) implements Stat {
    @Override
    public Stat plus(Stat other) {
      return new Latency(times.plus(((Latency) other).times));
    }

    @Override
    public void show(XContentBuilder builder, String name) throws IOException {
      builder.startObject(name);
      times.toXContent(builder, ToXContent.EMPTY_PARAMS);
      builder.endObject();
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
      out.writeByte(StatWire.LATENCY);
      times.writeTo(out);
    }
  }

  /**
   * Named values.
   *
   * @param members in the order they are shown; a name means the same kind of value on every node
   */
  record Group(Map<String, Stat> members) implements Stat {
    @Override
    public Group plus(Stat other) {
      Map<String, Stat> sum = new LinkedHashMap<>(members);
      ((Group) other).members.forEach((name, stat) -> sum.merge(name, stat, Stat::plus));
      return new Group(sum);
    }

    @Override
    public void show(XContentBuilder builder, String name) throws IOException {
      builder.startObject(name);
      showMembers(builder);
      builder.endObject();
    }

    void showMembers(XContentBuilder builder) throws IOException {
      for (Map.Entry<String, Stat> member : members.entrySet()) {
        member.getValue().show(builder, member.getKey());
      }
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
      out.writeByte(StatWire.GROUP);
      out.writeVInt(members.size());
      for (Map.Entry<String, Stat> member : members.entrySet()) {
        out.writeString(member.getKey());
        member.getValue().writeTo(out);
      }
    }
  }

  /**
   * @param other of the same kind, from another node
   * @return both together
   */
  Stat plus(Stat other);

  /**
   * @param builder inside an object
   * @param name of the member
   * @throws IOException if it cannot be written
   */
  void show(XContentBuilder builder, String name) throws IOException;
}
