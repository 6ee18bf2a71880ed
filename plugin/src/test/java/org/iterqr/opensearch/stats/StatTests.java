package org.iterqr.opensearch.stats;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.XContentBuilder;

class StatTests {
  @Test
  void sectionsOfTwoNodesAddUp() throws IOException {
    Map<?, ?> shown = shown(node("closed", 3, 10).plus(node("open", 4, 20)));
    assertEquals(7, shown.get("calls"));
    assertEquals(Map.of("closed", 1, "open", 1), shown.get("breaker"));
    assertEquals(2, ((Map<?, ?>) shown.get("times")).get("count"));
    assertEquals(20.0, ((Map<?, ?>) shown.get("times")).get("max_ms"));
  }

  @Test
  void aNodeWithoutAValueAddsNothing() throws IOException {
    Stat.Group older = new Stat.Group(Map.of("calls", new Stat.Count(2)));
    assertEquals(5, shown(older.plus(node("closed", 3, 1))).get("calls"));
    assertEquals(Map.of("closed", 1), shown(older.plus(node("closed", 3, 1))).get("breaker"));
  }

  @Test
  void whatIsSentIsRead() throws IOException {
    Stat.Group group = node("half_open", 5, 7);
    try (BytesStreamOutput out = new BytesStreamOutput()) {
      group.writeTo(out);
      Stat read = StatWire.read(out.bytes().streamInput());
      assertEquals(shown(group), shown((Stat.Group) read));
      assertEquals(
          List.of("calls", "breaker", "times"),
          List.copyOf(((Stat.Group) read).members().keySet()));
    }
  }

  @Test
  void anUnknownKindIsRefused() throws IOException {
    try (BytesStreamOutput out = new BytesStreamOutput()) {
      out.writeByte((byte) 99);
      assertThrows(IOException.class, () -> StatWire.read(out.bytes().streamInput()));
    }
  }

  private static Stat.Group node(String breaker, long calls, long ms) {
    Histogram histogram = new Histogram();
    histogram.record(ms * 1_000_000);
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("calls", new Stat.Count(calls));
    members.put("breaker", new Stat.State(breaker));
    members.put("times", new Stat.Latency(histogram.snapshot()));
    return new Stat.Group(members);
  }

  private static Map<String, Object> shown(Stat.Group group) throws IOException {
    try (XContentBuilder builder = JsonXContent.contentBuilder().startObject()) {
      group.showMembers(builder);
      return XContentHelper.convertToMap(
              BytesReference.bytes(builder.endObject()), true, MediaTypeRegistry.JSON)
          .v2();
    }
  }
}
