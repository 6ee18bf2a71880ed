package org.iterqr.opensearch.response;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.ChannelRank;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.Team;
import org.junit.jupiter.api.Test;
import org.opensearch.common.document.DocumentField;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.search.SearchHit;

class ChannelTagsTests {
  private static SearchHit hit(float score) {
    SearchHit hit = new SearchHit(1, "id", Map.of(), Map.of());
    hit.score(score);
    return hit;
  }

  private static List<Object> tags(SearchHit hit) {
    DocumentField field = hit.field(ChannelTags.FIELD);
    return field == null ? null : field.getValues();
  }

  @Test
  void tagsTravelWithTheHitBesideItsOwnFields() throws IOException {
    Map<String, DocumentField> own =
        new HashMap<>(Map.of("price", new DocumentField("price", List.of(3))));
    SearchHit hit = new SearchHit(1, "id", own, Map.of());
    ChannelTags.write(
        new SearchHit[] {hit},
        List.of(
            ChannelTags.of(
                new FusedHit(
                    new HitKey("dishes", 0, 1),
                    0.75,
                    List.of(
                        new ChannelRank(new Channel.Original(), 1, 9.1f, 0.5),
                        new ChannelRank(
                            new Channel.Rewritten(new Rewrite("00000000000000aa", "soup", 1)),
                            3,
                            4.2f,
                            0.25)),
                    Team.REWRITES))));
    try (BytesStreamOutput out = new BytesStreamOutput()) {
      hit.writeTo(out);
      hit = new SearchHit(out.bytes().streamInput());
    }
    assertEquals(
        List.of(
            Map.of(
                "name",
                "original",
                "rank",
                1,
                "score",
                9.1f,
                "contribution",
                0.5,
                "team",
                "rewrites"),
            Map.of(
                "name",
                "rewrite",
                "rewrite_id",
                "00000000000000aa",
                "text",
                "soup",
                "rank",
                3,
                "score",
                4.2f,
                "contribution",
                0.25,
                "team",
                "rewrites")),
        tags(hit));
    assertEquals(List.of(3), hit.field("price").getValues());
  }

  @Test
  void aPlainPagesRanksCountFromItsStartAndEndWithTheWindow() {
    SearchHit[] hits = {hit(3), hit(2), hit(2)};
    ChannelTags.write(hits, ChannelTags.ofPlain(hits, 4, 6));
    assertEquals(List.of(Map.of("name", "original", "rank", 5, "score", 3f)), tags(hits[0]));
    assertEquals(List.of(Map.of("name", "original", "rank", 6, "score", 2f)), tags(hits[1]));
    assertNull(tags(hits[2]), "beyond the window");
  }

  @Test
  void aPageThatSomethingElseOrderedHasNoRanks() {
    SearchHit[] rising = {hit(2), hit(3)};
    assertEquals(List.of(), ChannelTags.ofPlain(rising, 0, 50));
    SearchHit[] unscored = {hit(Float.NaN)};
    assertEquals(List.of(), ChannelTags.ofPlain(unscored, 0, 50));
  }

  @Test
  void ifOneHitCannotBeTaggedNoneIs() {
    SearchHit locked =
        new SearchHit(1, "id", Map.of("price", new DocumentField("price", List.of(3))), Map.of());
    locked.score(1);
    SearchHit[] hits = {hit(2), locked};
    List<DocumentField> tags = ChannelTags.ofPlain(hits, 0, 50);
    assertThrows(UnsupportedOperationException.class, () -> ChannelTags.write(hits, tags));
    assertNull(tags(hits[0]));
    assertNull(tags(locked));
  }
}
