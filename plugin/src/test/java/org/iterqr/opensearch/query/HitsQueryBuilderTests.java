package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.List;
import org.iterqr.opensearch.IterqrPlugin;
import org.iterqr.opensearch.fusion.HitKey;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.Version;
import org.opensearch.cluster.metadata.IndexMetadata;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.LoggingDeprecationHandler;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.index.IndexSettings;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.MatchNoneQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryShardContext;
import org.opensearch.search.SearchModule;

class HitsQueryBuilderTests {
  private static final NamedXContentRegistry REGISTRY =
      new NamedXContentRegistry(
          new SearchModule(Settings.EMPTY, List.of(new IterqrPlugin(Settings.EMPTY)))
              .getNamedXContents());

  private static final HitsQueryBuilder HITS =
      HitsQueryBuilder.of(
          List.of(
              new HitKey("soups", 0, 3),
              new HitKey("dishes", 1, 9),
              new HitKey("dishes", 1, 7),
              new HitKey("dishes", 0, 7)));

  private static QueryBuilder parse(String json) throws IOException {
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            REGISTRY, LoggingDeprecationHandler.INSTANCE, json.replace('\'', '"'))) {
      return AbstractQueryBuilder.parseInnerQueryBuilder(parser);
    }
  }

  /** A shard as a query sees it, as far as this one looks. */
  private static QueryShardContext shard(String index, int number, String clusterAlias) {
    Settings settings =
        Settings.builder()
            .put(IndexMetadata.SETTING_VERSION_CREATED, Version.CURRENT)
            .put(IndexMetadata.SETTING_NUMBER_OF_SHARDS, 2)
            .put(IndexMetadata.SETTING_NUMBER_OF_REPLICAS, 0)
            .build();
    IndexSettings indexSettings =
        new IndexSettings(IndexMetadata.builder(index).settings(settings).build(), Settings.EMPTY);
    return new QueryShardContext(
        number,
        indexSettings,
        null,
        null,
        null,
        null,
        null,
        null,
        REGISTRY,
        null,
        null,
        null,
        () -> 0,
        clusterAlias,
        name -> true,
        () -> true,
        null);
  }

  @Test
  void itIsReadAsItIsWritten() throws IOException {
    assertEquals(HITS, parse(HITS.toString()));
    assertEquals(HITS, parse("{'iterqr_hits':{'dishes':{'1':[7,9],'0':[7]},'soups':{'0':[3]}}}"));
    assertNotEquals(HITS, parse("{'iterqr_hits':{'dishes':{'1':[7,9],'0':[7]}}}"));
  }

  @Test
  void itReachesOtherNodesAsItIs() throws IOException {
    BytesStreamOutput out = new BytesStreamOutput();
    HITS.writeTo(out);
    assertEquals(HITS, new HitsQueryBuilder(out.bytes().streamInput()));
  }

  @Test
  void aShardWithNoneOfTheHitsNeedNotSearch() throws IOException {
    assertSame(HITS, HITS.rewrite(shard("dishes", 1, null)));
    assertSame(HITS, HITS.rewrite(shard("soups", 0, null)));
    assertInstanceOf(MatchNoneQueryBuilder.class, HITS.rewrite(shard("soups", 1, null)));
    assertInstanceOf(MatchNoneQueryBuilder.class, HITS.rewrite(shard("breads", 0, null)));
    assertInstanceOf(MatchNoneQueryBuilder.class, HITS.rewrite(shard("dishes", 1, "remote")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'iterqr_hits':{'dishes':[7]}}",
        "{'iterqr_hits':{'dishes':{'first':[7]}}}",
        "{'iterqr_hits':{'dishes':{'0':['seven']}}}",
      })
  void whatNamesNoHitsIsRefused(String json) {
    assertThrows(IllegalArgumentException.class, () -> parse(json));
  }
}
