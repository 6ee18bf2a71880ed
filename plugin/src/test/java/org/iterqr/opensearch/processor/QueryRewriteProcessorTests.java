package org.iterqr.opensearch.processor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.iterqr.opensearch.client.RewriteClient;
import org.iterqr.opensearch.experiment.Experiment;
import org.iterqr.opensearch.identity.IdentityReader;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.response.IterqrExt;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.ChannelServices;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.LoggingDeprecationHandler;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.SearchModule;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.search.pipeline.PipelineProcessingContext;
import org.opensearch.threadpool.ThreadPool;

class QueryRewriteProcessorTests {
  private static final NamedXContentRegistry QUERIES =
      new NamedXContentRegistry(new SearchModule(Settings.EMPTY, List.of()).getNamedXContents());

  private static ThreadPool threadPool;

  @BeforeAll
  static void startThreads() {
    threadPool = new ThreadPool(Settings.builder().put("node.name", "test").build());
  }

  @AfterAll
  static void stopThreads() {
    ThreadPool.terminate(threadPool, 10, TimeUnit.SECONDS);
  }

  /** How the run of a search ends whose client is this. */
  private static ChannelResult resultWith(Supplier<RewriteClient> client) {
    List<ChannelResult> results = new ArrayList<>();
    runOf(new SearchSourceBuilder(), client)
        .result(ActionListener.wrap(results::add, e -> assertNull(e)));
    return results.getFirst();
  }

  private static ChannelRun runOf(SearchSourceBuilder source, Supplier<RewriteClient> client) {
    ChannelServices services =
        new ChannelServices(null, threadPool, NamedXContentRegistry.EMPTY, () -> "node");
    var processor =
        new QueryRewriteProcessor.Factory(
                new IdentityReader(() -> new Experiment("", "", 100, 0)),
                client,
                () -> services,
                NamedXContentRegistry.EMPTY)
            .create(Map.of(), null, null, false, new HashMap<>(Map.of("budget_ms", 60_000)), null);
    SearchRequest request =
        new SearchRequest("dishes").source(source.query(QueryBuilders.matchQuery("title", "soop")));
    PipelineProcessingContext context = new PipelineProcessingContext();
    List<SearchRequest> answers = new ArrayList<>();
    processor.processRequestAsync(
        request, context, ActionListener.wrap(answers::add, e -> assertNull(e)));
    assertEquals(List.of(request), answers, "the search goes on, once, with its own request");
    return (ChannelRun) context.getAttribute(ChannelRun.ATTRIBUTE);
  }

  @Test
  void aSearchGoesOnWhateverIsThrown() {
    ChannelResult error = new ChannelResult.NotFused(Outcome.ERROR);
    assertEquals(
        error,
        resultWith(
            () -> {
              throw new IllegalStateException();
            }));
    assertEquals(
        error,
        resultWith(
            () -> {
              throw new NoClassDefFoundError("io/grpc/Metadata");
            }));
    assertEquals(
        error,
        resultWith(
            () -> {
              throw new StackOverflowError();
            }));
  }

  /** Of a search with this given text; null: with none. */
  private static String digestWith(String given) throws IOException {
    return digestOf(given == null ? null : "{'query':'" + given + "'}");
  }

  /** Of a search with this section; null: with none. */
  private static String digestOf(String section) throws IOException {
    SearchSourceBuilder source = new SearchSourceBuilder();
    if (section != null) {
      String json = section.replace('\'', '"');
      try (XContentParser parser =
          JsonXContent.jsonXContent.createParser(
              QUERIES, LoggingDeprecationHandler.INSTANCE, json)) {
        source.ext(List.of(IterqrExt.spec(false).getParser().apply(parser)));
      }
    }
    Supplier<RewriteClient> none =
        () -> {
          throw new IllegalStateException();
        };
    return runOf(source, none).plan().digest();
  }

  @Test
  void aPageTokenIsForTheRequestsPolicyAndTemplate() throws IOException {
    String policy = "{'policy':{'policy_version':1,'policy_id':'%s'}}";
    String template = "{'rewrite_query':{'match':{'%s':'{{rewrite}}'}},'query':'soop'}";
    List<String> sections =
        List.of(
            policy.formatted("a"),
            policy.formatted("b"),
            template.formatted("title"),
            template.formatted("body"),
            "{'query':'soop'}");
    Set<String> digests = new HashSet<>();
    for (String section : sections) {
      assertEquals(digestOf(section), digestOf(section));
      digests.add(digestOf(section));
    }
    assertEquals(sections.size(), digests.size());
  }

  @Test
  void aPageTokenIsForTheGivenText() throws IOException {
    assertEquals(digestWith("soup"), digestWith("soup"));
    assertEquals(3, Set.of(digestWith("soup"), digestWith("noodles"), digestWith(null)).size());
  }
}
