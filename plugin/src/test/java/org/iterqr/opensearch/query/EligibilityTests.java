package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.Optional;
import java.util.function.Consumer;
import org.iterqr.opensearch.outcome.Outcome;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.index.query.functionscore.ScoreFunctionBuilders;
import org.opensearch.script.Script;
import org.opensearch.search.aggregations.AggregationBuilders;
import org.opensearch.search.builder.PointInTimeBuilder;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.search.collapse.CollapseBuilder;
import org.opensearch.search.sort.ScoreSortBuilder;
import org.opensearch.search.sort.ScriptSortBuilder.ScriptSortType;
import org.opensearch.search.sort.SortBuilders;
import org.opensearch.search.sort.SortOrder;
import org.opensearch.search.suggest.SuggestBuilder;

class EligibilityTests {
  private static final int WINDOW = 50;
  private static final int MAX_CLAUSES = 1024;

  private static void assertReason(Outcome expected, Consumer<SearchSourceBuilder> edit) {
    SearchSourceBuilder source =
        new SearchSourceBuilder().query(QueryBuilders.matchQuery("title", "soup"));
    edit.accept(source);
    assertEquals(
        Optional.ofNullable(expected),
        Eligibility.skipReason(new SearchRequest("dishes").source(source), WINDOW));
  }

  @Test
  void servesASearchByScore() {
    assertReason(null, source -> {});
    assertReason(null, source -> source.sort(new ScoreSortBuilder()));
    assertReason(null, source -> source.postFilter(QueryBuilders.termQuery("a", 1)));
  }

  @Test
  void skipsOtherOrders() {
    assertReason(Outcome.SKIPPED_SORT, source -> source.sort("price"));
    assertReason(Outcome.SKIPPED_SORT, source -> source.sort("_score").sort("price"));
    assertReason(
        Outcome.SKIPPED_SORT, source -> source.sort(new ScoreSortBuilder().order(SortOrder.ASC)));
  }

  @Test
  void skipsFeaturesThatCannotBeFused() {
    assertReason(Outcome.SKIPPED_COLLAPSE, source -> source.collapse(new CollapseBuilder("brand")));
    assertReason(
        Outcome.SKIPPED_SEARCH_AFTER, source -> source.sort("price").searchAfter(new Object[] {3}));
    assertReason(Outcome.SKIPPED_MIN_SCORE, source -> source.minScore(0.5f));
    assertReason(Outcome.SKIPPED_SIZE_ZERO, source -> source.size(0));
    assertReason(Outcome.SKIPPED_NO_TEXT, source -> source.query(null));
    assertReason(
        Outcome.SKIPPED_SUGGEST_ONLY, source -> source.query(null).suggest(new SuggestBuilder()));
  }

  private static void assertExpandReason(Outcome expected, Consumer<SearchSourceBuilder> edit)
      throws IOException {
    SearchSourceBuilder source =
        new SearchSourceBuilder().query(QueryBuilders.matchQuery("title", "soup"));
    edit.accept(source);
    SearchSource json = SearchSource.of(source);
    assertEquals(
        Optional.ofNullable(expected),
        Eligibility.expandSkipReason(new SearchRequest("dishes").source(source))
            .or(() -> Eligibility.expandHarmReason(json, MAX_CLAUSES)));
  }

  @Test
  void expandsOtherOrders() throws IOException {
    assertExpandReason(null, source -> source.sort("price").from(100));
    assertExpandReason(null, source -> source.collapse(new CollapseBuilder("brand")).size(0));
  }

  @Test
  void doesNotExpandWhatRewritesCouldFail() throws IOException {
    assertExpandReason(
        Outcome.SKIPPED_SCRIPT,
        source ->
            source.query(
                QueryBuilders.functionScoreQuery(
                    source.query(), ScoreFunctionBuilders.fieldValueFactorFunction("price"))));
    assertExpandReason(
        Outcome.SKIPPED_SCRIPT,
        source -> source.sort(SortBuilders.scriptSort(new Script("1"), ScriptSortType.NUMBER)));
    assertExpandReason(
        Outcome.SKIPPED_SCRIPT,
        source -> source.aggregation(AggregationBuilders.max("most").script(new Script("1"))));
    assertExpandReason(
        Outcome.SKIPPED_CLAUSES, source -> source.query(QueryBuilders.queryStringQuery("soup")));
    assertExpandReason(
        Outcome.SKIPPED_CLAUSES,
        source -> source.query(QueryBuilders.multiMatchQuery("soup", "title", "body.*")));
    assertExpandReason(
        null, source -> source.query(QueryBuilders.multiMatchQuery("soup", "title", "body")));
  }

  @Test
  void skipsScroll() {
    SearchRequest request = new SearchRequest("dishes").scroll(TimeValue.timeValueMinutes(1));
    assertEquals(Optional.of(Outcome.SKIPPED_SCROLL), Eligibility.skipReason(request, WINDOW));
  }

  @Test
  void skipsPointsInTimeButExpandsThem() throws IOException {
    assertReason(
        Outcome.SKIPPED_PIT, source -> source.pointInTimeBuilder(new PointInTimeBuilder("pit")));
    assertExpandReason(
        null,
        source ->
            source
                .pointInTimeBuilder(new PointInTimeBuilder("pit"))
                .sort("price")
                .searchAfter(new Object[] {3}));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "europe:dishes",
        "*:dishes",
        "eu*:dishes-*",
        "-europe:dishes",
        "europe:<dishes-{now/d}>",
        "dishes,europe:dishes",
      })
  void skipsIndicesOfOtherClusters(String indices) throws IOException {
    SearchRequest request = searchOf(indices);
    assertEquals(Optional.of(Outcome.SKIPPED_CCS), Eligibility.skipReason(request, WINDOW));
    assertEquals(Optional.of(Outcome.SKIPPED_CCS), Eligibility.expandSkipReason(request));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "dishes",
        "*,-dishes-*",
        "<dishes-{now/d}>",
        "<dishes-{now/d{yyyy.MM.dd|+01:00}}>",
        "*,-<dishes-{now/d{yyyy.MM.dd|+01:00}}>",
      })
  void servesIndicesOfThisCluster(String indices) throws IOException {
    SearchRequest request = searchOf(indices);
    assertEquals(Optional.empty(), Eligibility.skipReason(request, WINDOW));
    assertEquals(Optional.empty(), Eligibility.expandSkipReason(request));
  }

  private static SearchRequest searchOf(String indices) {
    return new SearchRequest(indices.split(","))
        .source(new SearchSourceBuilder().query(QueryBuilders.matchQuery("title", "soup")));
  }

  @Test
  void servesPagesInsideTheWindowOnly() {
    assertReason(null, source -> source.from(40).size(10));
    assertReason(Outcome.SKIPPED_PAST_WINDOW, source -> source.from(41).size(10));
    assertReason(Outcome.SKIPPED_PAST_WINDOW, source -> source.from(41));
    assertReason(Outcome.SKIPPED_PAST_WINDOW, source -> source.size(51));
    assertReason(Outcome.SKIPPED_PAST_WINDOW, source -> source.from(Integer.MAX_VALUE).size(10));
  }
}
