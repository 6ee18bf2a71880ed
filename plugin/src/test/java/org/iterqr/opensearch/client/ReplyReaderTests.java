package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.iterqr.rewrite.v1.ChainOfThought;
import org.iterqr.rewrite.v1.RewriteQueryResponse;
import org.iterqr.rewrite.v1.Timings;
import org.junit.jupiter.api.Test;

class ReplyReaderTests {
  private static final String QUERY = "tomatoe soop";

  private static org.iterqr.rewrite.v1.Rewrite rewrite(int id, String text, double confidence) {
    return org.iterqr.rewrite.v1.Rewrite.newBuilder()
        .setRewriteId(String.format("%016x", id))
        .setText(text)
        .setConfidence(confidence)
        .build();
  }

  private static RewriteQueryResponse.Builder reply(org.iterqr.rewrite.v1.Rewrite... rewrites) {
    return RewriteQueryResponse.newBuilder()
        .setCheckpointId("ck")
        .addAllRewrites(List.of(rewrites));
  }

  private static RewriteReply read(RewriteQueryResponse.Builder reply) throws BadReplyException {
    return ReplyReader.read(reply.build(), QUERY, 3);
  }

  private static void assertRefused(String field, RewriteQueryResponse.Builder reply) {
    BadReplyException refused = assertThrows(BadReplyException.class, () -> read(reply));
    assertTrue(refused.getMessage().startsWith(field), refused.getMessage());
  }

  @Test
  void readsAWholeReply() throws BadReplyException {
    RewriteReply reply =
        read(
            reply(rewrite(1, " tomato soup ", 0.5), rewrite(2, "tomato broth", 0))
                .setChainOfThought(
                    ChainOfThought.newBuilder()
                        .setFix("tomato soup")
                        .setIntent("dish")
                        .setMeaning("a soup"))
                .addHints("Tomato Soup")
                .setTimings(Timings.newBuilder().setTotalUs(7).setHintsUs(1)));
    assertEquals(
        List.of(
            new Rewrite("0000000000000001", "tomato soup", 0.5),
            new Rewrite("0000000000000002", "tomato broth", 0)),
        reply.rewrites());
    assertEquals("ck", reply.checkpointId());
    assertEquals("dish", reply.intent());
    assertEquals(List.of("Tomato Soup"), reply.hints());
    assertEquals(new RewriteReply.ServerTimings(7, 1, 0, 0), reply.timings());
  }

  @Test
  void leavesOutRepeatsAndTheQueryItself() throws BadReplyException {
    RewriteReply reply =
        read(reply(rewrite(1, "Tomatoe Soop", 1), rewrite(2, "soup", 1), rewrite(3, "SOUP", 1)));
    assertEquals(List.of("soup"), reply.rewrites().stream().map(Rewrite::text).toList());
  }

  @Test
  void anEmptyReplyHasNoRewrites() throws BadReplyException {
    assertEquals(List.of(), read(RewriteQueryResponse.newBuilder()).rewrites());
  }

  @Test
  void refusesRewritesOutOfTheContract() {
    assertRefused("rewrites[0]: text is empty", reply(rewrite(1, "", 1)));
    assertRefused("rewrites[0]: text is empty", reply(rewrite(1, " \t", 1)));
    assertRefused("rewrites[0]: text is longer", reply(rewrite(1, "a".repeat(121), 1)));
    assertRefused("rewrites[0]: text has control", reply(rewrite(1, "a\u0007b", 1)));
    assertRefused("rewrites[0]: confidence", reply(rewrite(1, "soup", Double.NaN)));
    assertRefused("rewrites[0]: confidence", reply(rewrite(1, "soup", -0.1)));
    assertRefused(
        "rewrites[1]: rewrite_id is not unique",
        reply(rewrite(1, "soup", 1), rewrite(1, "broth", 1)));
    assertRefused(
        "rewrites[0]: rewrite_id is not 16",
        reply(rewrite(1, "soup", 1).toBuilder().setRewriteId("1").build()));
    assertRefused(
        "rewrites: 4 where at most 3",
        reply(rewrite(1, "a", 1), rewrite(2, "b", 1), rewrite(3, "c", 1), rewrite(4, "d", 1)));
  }

  @Test
  void refusesOverLongTexts() {
    assertRefused("checkpoint_id", reply().setCheckpointId("c".repeat(129)));
    assertRefused(
        "chain_of_thought.meaning",
        reply().setChainOfThought(ChainOfThought.newBuilder().setMeaning("m".repeat(1_001))));
    assertRefused("hints", reply().addHints("h".repeat(501)));
    RewriteQueryResponse.Builder many = reply();
    for (int i = 0; i < 65; i++) {
      many.addHints("h");
    }
    assertRefused("hints", many);
  }

  @Test
  void lengthsCountCharactersNotUtf16Units() throws BadReplyException {
    assertEquals(1, read(reply(rewrite(1, "\uD83C\uDF5C".repeat(120), 1))).rewrites().size());
  }
}
