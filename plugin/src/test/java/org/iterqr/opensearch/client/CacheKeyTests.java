package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CacheKeyTests {
  private static CacheKey key(String query, String region, String tenant, int maxRewrites) {
    return CacheKey.of(
        new RewriteCall(query, region, tenant, maxRewrites, 1, TraceContext.of(null, null)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        " Crème   Brûlée ",
        "CRE\u0300ME\tBRU\u0302LE\u0301E",
        "crème\u00a0brûlée\u200b",
        "\u0000crème\u2028brûlée\ue000\n",
      })
  void equalForTheServer(String query) {
    assertEquals("crème brûlée", CacheKey.normalize(query));
  }

  @Test
  void joinersAndUnknownCharactersStay() {
    assertEquals("می\u200cخواهم", CacheKey.normalize("می\u200cخواهم"));
    assertEquals("a\ufdd0", CacheKey.normalize("A\ufdd0"));
    assertEquals("", CacheKey.normalize(" \u200b "));
  }

  @Test
  void whatTheReplyDependsOnTellsKeysApart() {
    CacheKey key = key("Pad Tai", "north", "shop", 3);
    assertEquals(key, key("pad  tai", "north", "shop", 3));
    assertNotEquals(key, key("pad thai", "north", "shop", 3));
    assertNotEquals(key, key("pad tai", "south", "shop", 3));
    assertNotEquals(key, key("pad tai", "north", "other", 3));
    assertNotEquals(key, key("pad tai", "north", "shop", 4));
  }
}
