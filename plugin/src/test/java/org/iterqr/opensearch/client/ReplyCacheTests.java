package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class ReplyCacheTests {
  private static final CacheSettings SETTINGS = new CacheSettings(true, 100_000, 60, 10);

  private long now = Long.MAX_VALUE - 20;
  private final ReplyCache cache = new ReplyCache(SETTINGS, () -> now);

  private static CacheKey key(String query) {
    return new CacheKey("", "", query, 3);
  }

  private static RewriteReply reply(String... texts) {
    List<Rewrite> rewrites =
        java.util.Arrays.stream(texts)
            .map(text -> new Rewrite("0000000000000001", text, 0.5))
            .toList();
    return new RewriteReply(
        "c1",
        "",
        "",
        "",
        List.of(),
        rewrites,
        ReplySource.GENERATED,
        false,
        "",
        new RewriteReply.ServerTimings(1, 2, 3, 4));
  }

  private void put(String query, RewriteReply reply) {
    cache.put(key(query), reply, cache.generation());
  }

  @Test
  void aKeptReplySaysThatItIs() {
    put("pad tai", reply("pad thai"));
    RewriteReply kept = cache.get(key("pad tai"));
    assertEquals(reply("pad thai").rewrites(), kept.rewrites());
    assertEquals(ReplySource.NODE_CACHE, kept.source());
    assertNull(kept.timings(), "no server was asked");
    assertNull(cache.get(key("pad")));
    ClientStats.CacheStats stats = cache.stats();
    assertEquals(1, stats.hits());
    assertEquals(0, stats.negativeHits());
    assertEquals(1, stats.misses());
    assertEquals(1, stats.entries());
    assertTrue(stats.bytes() > 400, "weighed");
  }

  @Test
  void repliesExpireAndThoseWithoutRewritesSooner() {
    put("pad tai", reply("pad thai"));
    put("soup", reply());
    now += 9;
    assertEquals(List.of(), cache.get(key("soup")).rewrites());
    now += 1;
    assertNull(cache.get(key("soup")));
    now += 49;
    assertNotNull(cache.get(key("pad tai")));
    now += 1;
    assertNull(cache.get(key("pad tai")));
    assertEquals(1, cache.stats().negativeHits());
    assertEquals(0, cache.stats().entries());
  }

  @Test
  void theLeastRecentlyUsedMakesRoom() {
    for (int i = 0; i < 1_000; i++) {
      put("query " + i, reply("rewrite"));
      assertNotNull(cache.get(key("query 0")));
    }
    ClientStats.CacheStats stats = cache.stats();
    assertTrue(stats.bytes() <= 100_000, () -> "takes " + stats.bytes());
    assertTrue(stats.entries() > 50, () -> "keeps " + stats.entries());
    assertNull(cache.get(key("query 1")));
    assertNotNull(cache.get(key("query 999")));
  }

  @Test
  void otherSettingsBeginAnew() {
    put("pad tai", reply("pad thai"));
    cache.configure(SETTINGS);
    assertNotNull(cache.get(key("pad tai")));
    long generation = cache.generation();
    cache.configure(new CacheSettings(true, 100_000, 60, 0));
    assertNull(cache.get(key("pad tai")));
    cache.put(key("pad tai"), reply("pad thai"), generation);
    assertNull(cache.get(key("pad tai")), "of a call that was made before");
    put("soup", reply());
    assertNull(cache.get(key("soup")), "not kept at all");
  }
}
