package org.iterqr.opensearch.client;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.iterqr.rewrite.v1.ChainOfThought;
import org.iterqr.rewrite.v1.Outcome;
import org.iterqr.rewrite.v1.RewriteQueryResponse;
import org.iterqr.rewrite.v1.Timings;

/** Reads a reply as input from outside: everything is checked before anything is used. */
final class ReplyReader {
  private static final int THOUGHT_CHARACTERS = 1_000;
  private static final int HINTS = 64;
  private static final int HINT_CHARACTERS = 500;
  private static final int POLICY_CHARACTERS = 8_192;

  private ReplyReader() {}

  /**
   * @param reply as it came
   * @param query the text that was to be rewritten
   * @param maxRewrites as asked for
   * @return the checked reply
   * @throws BadReplyException naming the field that breaks the contract
   */
  static RewriteReply read(RewriteQueryResponse reply, String query, int maxRewrites)
      throws BadReplyException {
    if (reply.getRewritesCount() > maxRewrites) {
      throw new BadReplyException(
          "rewrites: "
              + reply.getRewritesCount()
              + " where at most "
              + maxRewrites
              + " were asked");
    }
    Set<String> ids = new HashSet<>();
    Set<String> texts = new HashSet<>();
    texts.add(query.strip().toLowerCase(Locale.ROOT));
    List<Rewrite> rewrites = new ArrayList<>(reply.getRewritesCount());
    for (int i = 0; i < reply.getRewritesCount(); i++) {
      var proto = reply.getRewrites(i);
      Rewrite rewrite =
          new Rewrite(proto.getRewriteId(), proto.getText().strip(), proto.getConfidence());
      String violation = RewriteLimits.violation(rewrite);
      if (violation != null) {
        throw new BadReplyException("rewrites[" + i + "]: " + violation);
      }
      if (!ids.add(rewrite.id())) {
        throw new BadReplyException("rewrites[" + i + "]: rewrite_id is not unique");
      }
      if (texts.add(rewrite.text().toLowerCase(Locale.ROOT))) {
        rewrites.add(rewrite);
      }
    }
    ChainOfThought thought = reply.getChainOfThought();
    return new RewriteReply(
        limited("checkpoint_id", reply.getCheckpointId(), RewriteLimits.CHECKPOINT_CHARACTERS),
        limited("chain_of_thought.fix", thought.getFix(), THOUGHT_CHARACTERS),
        limited("chain_of_thought.intent", thought.getIntent(), THOUGHT_CHARACTERS),
        limited("chain_of_thought.meaning", thought.getMeaning(), THOUGHT_CHARACTERS),
        hints(reply),
        List.copyOf(rewrites),
        ReplySource.of(reply.getSource()),
        reply.getOutcome() == Outcome.OUTCOME_PARTIAL,
        limited("policy_json", reply.getPolicyJson(), POLICY_CHARACTERS),
        timings(reply.getTimings()));
  }

  private static List<String> hints(RewriteQueryResponse reply) throws BadReplyException {
    if (reply.getHintsCount() > HINTS) {
      throw new BadReplyException("hints: more than " + HINTS);
    }
    for (String hint : reply.getHintsList()) {
      limited("hints", hint, HINT_CHARACTERS);
    }
    return List.copyOf(reply.getHintsList());
  }

  private static RewriteReply.ServerTimings timings(Timings timings) {
    return new RewriteReply.ServerTimings(
        timings.getTotalUs(),
        timings.getHintsUs(),
        timings.getFirstTokenUs(),
        timings.getGenerationUs());
  }

  private static String limited(String field, String value, int characters)
      throws BadReplyException {
    if (RewriteLimits.length(value) > characters) {
      throw new BadReplyException(field + ": longer than " + characters + " characters");
    }
    return value;
  }
}
