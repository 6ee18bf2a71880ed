package org.iterqr.opensearch.processor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.iterqr.opensearch.client.RewriteClient;
import org.iterqr.opensearch.experiment.Experiment;
import org.iterqr.opensearch.identity.IdentityReader;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.ChannelServices;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.search.pipeline.PipelineProcessingContext;
import org.opensearch.threadpool.ThreadPool;

class QueryRewriteProcessorTests {
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
        new SearchRequest("dishes")
            .source(new SearchSourceBuilder().query(QueryBuilders.matchQuery("title", "soop")));
    PipelineProcessingContext context = new PipelineProcessingContext();
    List<SearchRequest> answers = new ArrayList<>();
    processor.processRequestAsync(
        request, context, ActionListener.wrap(answers::add, e -> assertNull(e)));
    assertEquals(List.of(request), answers, "the search goes on, once, with its own request");
    List<ChannelResult> results = new ArrayList<>();
    ((ChannelRun) context.getAttribute(ChannelRun.ATTRIBUTE))
        .result(ActionListener.wrap(results::add, e -> assertNull(e)));
    return results.getFirst();
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
}
