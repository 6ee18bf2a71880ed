package org.iterqr.opensearch.processor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.lucene.search.TotalHits;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.observe.SearchObservers;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.outcome.OutcomeCounters;
import org.iterqr.opensearch.response.ChannelTags;
import org.iterqr.opensearch.response.ShadowHit;
import org.iterqr.opensearch.search.Budget;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.ChannelServices;
import org.iterqr.opensearch.search.StartedRuns;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.opensearch.action.OriginalIndices;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.search.SearchResponseSections;
import org.opensearch.action.search.ShardSearchFailure;
import org.opensearch.common.document.DocumentField;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.index.shard.ShardId;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.SearchHit;
import org.opensearch.search.SearchHits;
import org.opensearch.search.SearchModule;
import org.opensearch.search.SearchShardTarget;
import org.opensearch.search.aggregations.Aggregations;
import org.opensearch.search.aggregations.InternalAggregations;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.client.Client;

class ResponseFusionTests {
  private static final FusionSettings SETTINGS =
      new FusionSettings(FusionStrategy.RRF, 1, 0.5, 60, 10);
  private static final ChannelRun.Plan PLAN =
      new ChannelRun.Plan(
          "request-1",
          SearchIdentity.NONE,
          new SearchOptions(
              Mode.FUSE,
              60_000,
              50,
              3,
              "",
              "",
              Optional.empty(),
              Optional.empty(),
              Optional.empty()),
          "soop",
          null,
          "digest",
          Optional.empty());
  private static final RewriteReply REWRITES =
      RewriteReply.pinned("ck", List.of(new Rewrite("00000000000000aa", "soup", 1)));

  /** What another response processor may have put in the place of the search's own. */
  private static final Aggregations FOREIGN = new Aggregations(List.of());

  private static ThreadPool threadPool;
  private static ChannelServices services;

  private final OutcomeCounters counters = new OutcomeCounters();
  private final BlockingQueue<SearchResponse> answers = new LinkedBlockingQueue<>();

  @BeforeAll
  static void startThreads() {
    threadPool = new ThreadPool(Settings.builder().put("node.name", "test").build());
    NamedXContentRegistry registry =
        new NamedXContentRegistry(new SearchModule(Settings.EMPTY, List.of()).getNamedXContents());
    services = new ChannelServices(searchingClient(), threadPool, registry, () -> "node");
  }

  @AfterAll
  static void stopThreads() {
    ThreadPool.terminate(threadPool, 10, TimeUnit.SECONDS);
  }

  /** Every window has the documents of the plain response. */
  private static Client searchingClient() {
    return (Client)
        Proxy.newProxyInstance(
            Client.class.getClassLoader(),
            new Class<?>[] {Client.class},
            (proxy, method, arguments) -> {
              assertEquals("search", method.getName());
              @SuppressWarnings("unchecked")
              ActionListener<SearchResponse> listener =
                  (ActionListener<SearchResponse>) arguments[1];
              listener.onResponse(response(null, hit("a", 1, 2), hit("b", 2, 1)));
              return null;
            });
  }

  private static SearchHit hit(String id, long seqNo, float score) {
    return hit(id, seqNo, score, Map.of());
  }

  /** Its fields refuse tags. */
  private static SearchHit lockedHit(String id, long seqNo, float score) {
    return hit(id, seqNo, score, Map.of("price", new DocumentField("price", List.of(3))));
  }

  private static SearchHit hit(
      String id, long seqNo, float score, Map<String, DocumentField> fields) {
    SearchHit hit = new SearchHit(1, id, fields, Map.of());
    hit.score(score);
    hit.setSeqNo(seqNo);
    hit.setPrimaryTerm(1);
    hit.shard(
        new SearchShardTarget(
            "node", new ShardId("dishes", "uuid", 0), null, OriginalIndices.NONE));
    return hit;
  }

  private static SearchHits hits(SearchHit... hits) {
    return new SearchHits(hits, new TotalHits(hits.length, TotalHits.Relation.EQUAL_TO), 2);
  }

  private static SearchResponse response(Aggregations aggregations, SearchHit... hits) {
    return new SearchResponse(
        new SearchResponseSections(hits(hits), aggregations, null, false, null, null, 1),
        null,
        1,
        1,
        0,
        5,
        ShardSearchFailure.EMPTY_ARRAY,
        SearchResponse.Clusters.EMPTY);
  }

  private static SearchRequest request() {
    return new SearchRequest("dishes")
        .source(new SearchSourceBuilder().query(QueryBuilders.matchQuery("title", "soop")));
  }

  private static ChannelRun ended(Outcome outcome) {
    return ChannelRun.ended(services, Budget.start(60_000), PLAN, outcome);
  }

  /** A run whose windows are searched in another thread. */
  private static ChannelRun searching() {
    ChannelRun run = ChannelRun.open(services, Budget.start(60_000), PLAN);
    StartedRuns.start(run, request());
    run.rewritesArrived(REWRITES);
    return run;
  }

  private void start(ChannelRun run, SearchResponse plain) {
    start(run, plain, ActionListener.wrap(answers::add, e -> assertNull(e)));
  }

  private void start(
      ChannelRun run, SearchResponse plain, ActionListener<SearchResponse> listener) {
    Answer answer =
        new Answer(
            run,
            SETTINGS,
            search -> counters.count(search.summary().outcome()),
            request(),
            plain,
            listener);
    new ResponseFusion(answer, threadPool).start();
  }

  private SearchResponse answer() throws InterruptedException {
    return answers.poll(10, TimeUnit.SECONDS);
  }

  /** The one search is counted once. */
  private void assertCounted(Outcome expected) {
    List<Outcome> counted = new ArrayList<>();
    for (Outcome outcome : Outcome.values()) {
      for (long i = 0; i < counters.get(outcome); i++) {
        counted.add(outcome);
      }
    }
    assertEquals(List.of(expected), counted);
    assertEquals(0, answers.size(), "answered more than once");
  }

  private static void assertUntouched(SearchResponse plain, SearchResponse answer) {
    assertSame(plain, answer);
    SearchHit[] hits = plain.getHits().getHits();
    assertEquals(List.of(2f, 1f), Arrays.stream(hits).map(SearchHit::getScore).toList());
    for (SearchHit hit : hits) {
      assertFalse(hit.getFields().containsKey(ChannelTags.FIELD), hit.getId());
    }
  }

  @Test
  void aFusedResponseHasFusedScoresAndTags() throws Exception {
    SearchResponse plain = response(InternalAggregations.EMPTY, hit("a", 1, 2), hit("b", 2, 1));
    start(searching(), plain);
    SearchResponse answer = answer();
    assertEquals(1.5f / 61, answer.getHits().getAt(0).getScore(), 1e-6);
    assertEquals(2, answer.getHits().getAt(1).field(ChannelTags.FIELD).getValues().size());
    assertCounted(Outcome.FUSED);
  }

  @ParameterizedTest
  @EnumSource(
      value = Outcome.class,
      names = {"FUSED", "NO_REWRITES", "ORIGINAL_SUFFICES", "EXPANDED"},
      mode = EnumSource.Mode.EXCLUDE)
  void everyEndingIsAnsweredAndCountedOnce(Outcome outcome) throws Exception {
    SearchResponse plain = response(null, hit("a", 1, 2));
    start(ended(outcome), plain);
    assertNotSame(plain, answer());
    assertCounted(outcome);
  }

  @Test
  void anEmptyReplyIsAnsweredAndCountedOnce() throws Exception {
    ChannelRun run = ChannelRun.open(services, Budget.start(60_000), PLAN);
    run.rewritesArrived(RewriteReply.pinned("ck", List.of()));
    start(run, response(null, hit("a", 1, 2)));
    assertEquals(1, answer().getHits().getAt(0).field(ChannelTags.FIELD).getValues().size());
    assertCounted(Outcome.NO_REWRITES);
  }

  @Test
  void aPipelineWithoutRequestProcessorIsAnsweredAndCountedOnce() throws Exception {
    start(null, response(null, hit("a", 1, 2)));
    assertEquals(1, answer().getHits().getHits().length);
    assertCounted(Outcome.ERROR);
  }

  @Test
  void aPlainResponseThatCannotBeTaggedIsSentUntouched() throws Exception {
    SearchResponse plain = response(null, hit("a", 1, 2), lockedHit("b", 2, 1));
    start(ended(Outcome.TIMEOUT), plain);
    assertUntouched(plain, answer());
    assertCounted(Outcome.ERROR);
  }

  @Test
  void aPlainResponseThatCannotBeRebuiltIsSentUntouched() throws Exception {
    SearchResponse plain = response(FOREIGN, hit("a", 1, 2), hit("b", 2, 1));
    start(ended(Outcome.TIMEOUT), plain);
    assertUntouched(plain, answer());
    assertCounted(Outcome.ERROR);
  }

  @Test
  void aFusedResponseThatCannotBeBuiltLeavesThePlainOneUntouched() throws Exception {
    SearchResponse plain = response(FOREIGN, hit("a", 1, 2), hit("b", 2, 1));
    start(searching(), plain);
    assertUntouched(plain, answer());
    assertCounted(Outcome.ERROR);
  }

  @Test
  void aFusedResponseThatCannotBeTaggedLeavesThePlainOneUntouched() throws Exception {
    SearchResponse plain = response(null, hit("a", 1, 2), lockedHit("b", 2, 1));
    start(searching(), plain);
    assertUntouched(plain, answer());
    assertCounted(Outcome.ERROR);
  }

  @Test
  void anErrorIsAnsweredLikeAnException() throws Exception {
    SearchResponse plain =
        new SearchResponse(
            new SearchResponseSections(
                hits(hit("a", 1, 2), hit("b", 2, 1)), null, null, false, null, null, 1),
            null,
            1,
            1,
            0,
            5,
            ShardSearchFailure.EMPTY_ARRAY,
            SearchResponse.Clusters.EMPTY) {
          @Override
          public Aggregations getAggregations() {
            throw new StackOverflowError();
          }
        };
    start(ended(Outcome.UNAVAILABLE), plain);
    assertUntouched(plain, answer());
    assertCounted(Outcome.ERROR);
  }

  @Test
  void whatTheListenerThrowsIsNotAnsweredAgain() {
    SearchResponse plain = response(null, hit("a", 1, 2));
    assertThrows(
        StackOverflowError.class,
        () ->
            start(
                ended(Outcome.TIMEOUT),
                plain,
                ActionListener.wrap(
                    answer -> {
                      throw new StackOverflowError();
                    },
                    e -> answers.add(plain))));
    assertCounted(Outcome.TIMEOUT);
  }

  @Test
  void aShadowedSearchWithAHitOfNoShardIsAnsweredAndCountedOnce() throws Exception {
    SearchHit foreign = new SearchHit(1, "a", Map.of(), Map.of());
    foreign.score(2);
    Answer answer =
        new Answer(
            searching(),
            SETTINGS,
            search -> counters.count(search.summary().outcome()),
            request(),
            response(null, foreign),
            ActionListener.wrap(answers::add, e -> assertNull(e)));
    new ShadowObservation(answer, threadPool).start();
    assertEquals(1, answer().getHits().getHits().length);
    assertCounted(Outcome.ERROR);
  }

  @Test
  void aShadowedSearchIsAnsweredPlainlyAndObservedOnceWithThePageKeptBack() throws Exception {
    BlockingQueue<AnsweredSearch> observed = new LinkedBlockingQueue<>();
    SearchResponse plain = response(InternalAggregations.EMPTY, hit("a", 1, 2), hit("b", 2, 1));
    ChannelRun run = searching();
    Answer answer =
        new Answer(
            run,
            SETTINGS,
            observed::add,
            request(),
            plain,
            ActionListener.wrap(answers::add, e -> assertNull(e)));
    new ShadowObservation(answer, threadPool).start();
    SearchResponse sent = answer();
    assertEquals(
        List.of(2f, 1f), Arrays.stream(sent.getHits().getHits()).map(SearchHit::getScore).toList());
    AnsweredSearch search = observed.poll(10, TimeUnit.SECONDS);
    assertSame(sent, search.response());
    assertEquals(Outcome.SHADOW, search.summary().outcome());
    List<ShadowHit> page = search.summary().shadow();
    assertEquals(List.of("a", "b"), page.stream().map(ShadowHit::id).toList());
    assertEquals(List.of(1, 2), page.stream().map(ShadowHit::position).toList());
    assertEquals(2, page.getFirst().fused().channels().size());
    assertNull(observed.poll(), "observed more than once");
  }

  /** Reads hits when it may, and is told of the search when it has ended. */
  private record Reader(BlockingQueue<List<String>> told) implements SearchObserver {
    @Override
    public void answered(AnsweredSearch search) {
      throw new AssertionError("nobody may read the hits any more");
    }

    @Override
    public SearchObserver answeredLater(SearchIdentity identity, SearchResponse response) {
      List<String> titles =
          Arrays.stream(response.getHits().getHits())
              .map(hit -> hit.field("title").<String>getValue())
              .toList();
      return search -> told.add(titles);
    }
  }

  @Test
  void whatIsLoggedOfAShadowedSearchIsReadBeforeOthersMayChangeItsHits() throws Exception {
    SearchHit hit = hit("a", 1, 2);
    hit.setDocumentField("title", new DocumentField("title", List.of("pad thai")));
    BlockingQueue<List<String>> told = new LinkedBlockingQueue<>();
    // As rename_field does, a response processor after ours.
    ActionListener<SearchResponse> renaming =
        ActionListener.wrap(
            response -> {
              response.getHits().getAt(0).removeDocumentField("title");
              answers.add(response);
            },
            e -> assertNull(e));
    Answer answer =
        new Answer(
            searching(),
            SETTINGS,
            new SearchObservers(List.of(new Reader(told))),
            request(),
            response(InternalAggregations.EMPTY, hit),
            renaming);
    new ShadowObservation(answer, threadPool).start();
    assertEquals(1, answer().getHits().getHits().length);
    assertEquals(List.of("pad thai"), told.poll(10, TimeUnit.SECONDS));
  }
}
