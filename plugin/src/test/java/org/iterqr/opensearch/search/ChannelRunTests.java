package org.iterqr.opensearch.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.AbstractList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteCallException;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.outcome.Outcome;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchTask;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.util.concurrent.OpenSearchExecutors;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.threadpool.ThreadPool;

class ChannelRunTests {
  private static final int LONG_MS = 60_000;
  private static final ChannelRun.Plan PLAN = planIn(Mode.FUSE);
  private static final RewriteReply REWRITES =
      RewriteReply.pinned("ck", List.of(new Rewrite("00000000000000aa", "soup", 1)));

  private static ThreadPool threadPool;
  private static ChannelServices services;

  @BeforeAll
  static void startThreads() {
    threadPool = new ThreadPool(Settings.builder().put("node.name", "test").build());
    services = new ChannelServices(null, threadPool, NamedXContentRegistry.EMPTY, () -> "node");
  }

  @AfterAll
  static void stopThreads() {
    ThreadPool.terminate(threadPool, 10, TimeUnit.SECONDS);
  }

  private static ChannelRun.Plan planIn(Mode mode) {
    return new ChannelRun.Plan(
        "request-1",
        SearchIdentity.NONE,
        new SearchOptions(
            mode, 60_000, 50, 3, "", "", Optional.empty(), Optional.empty(), Optional.empty()),
        "soop",
        null,
        "digest",
        Optional.empty());
  }

  private static ChannelRun open(int budgetMs) {
    return ChannelRun.open(services, Budget.start(budgetMs), PLAN);
  }

  private static CompletableFuture<ChannelResult> resultOf(ChannelRun run) {
    CompletableFuture<ChannelResult> result = new CompletableFuture<>();
    run.result(ActionListener.wrap(result::complete, result::completeExceptionally));
    return result;
  }

  private static void assertOutcome(Outcome expected, ChannelRun run) throws Exception {
    assertEquals(new ChannelResult.NotFused(expected), resultOf(run).get(10, TimeUnit.SECONDS));
  }

  @Test
  void anEndedRunKeepsItsOutcomeWhateverComesLater() throws Exception {
    ChannelRun run = ChannelRun.ended(services, Budget.start(LONG_MS), PLAN, Outcome.SKIPPED_SORT);
    run.rewritesArrived(REWRITES);
    run.rewritesFailed(new IllegalStateException());
    run.searchEnded();
    assertOutcome(Outcome.SKIPPED_SORT, run);
  }

  @Test
  void theBudgetEndsAWaitingRun() throws Exception {
    Budget budget = Budget.start(50);
    ChannelRun run = ChannelRun.open(services, budget, PLAN);
    assertOutcome(Outcome.TIMEOUT, run);
    assertTrue(budget.elapsedNanos() >= TimeUnit.MILLISECONDS.toNanos(40));
    run.rewritesArrived(REWRITES);
    assertOutcome(Outcome.TIMEOUT, run);
  }

  @Test
  void rewritesForTheQueryItselfAreNotSearchedFor() throws Exception {
    for (Mode mode : List.of(Mode.EXPAND, Mode.SHADOW_EXPAND)) {
      ChannelRun run = ChannelRun.open(services, Budget.start(LONG_MS), planIn(mode));
      run.searchStarted(new SearchRequest("dishes"), StartedRuns.task());
      run.searchEnded();
      run.rewritesArrived(REWRITES);
      assertEquals(new ChannelResult.Rewritten(REWRITES), resultOf(run).get(10, TimeUnit.SECONDS));
    }
  }

  @Test
  void aFailedCallNamesTheOutcome() throws Exception {
    ChannelRun run = open(LONG_MS);
    run.rewritesFailed(
        new RewriteCallException(Outcome.UNAVAILABLE, new IllegalStateException("refused")));
    assertOutcome(Outcome.UNAVAILABLE, run);
    assertNull(run.reply());
  }

  @Test
  void anUnexpectedFailureIsAnError() throws Exception {
    ChannelRun run = open(LONG_MS);
    run.rewritesFailed(new IllegalStateException());
    assertOutcome(Outcome.ERROR, run);
  }

  @Test
  void anEmptyReplyEndsTheRunAndIsKept() throws Exception {
    ChannelRun run = open(LONG_MS);
    RewriteReply empty = RewriteReply.pinned("ck", List.of());
    run.rewritesArrived(empty);
    assertOutcome(Outcome.NO_REWRITES, run);
    assertEquals(empty, run.reply());
    assertTrue(run.rewriteNanos() >= 0);
  }

  @Test
  void aSearchThatStartsWhileAnEmptyReplyArrivesSearchesNoWindows() throws Exception {
    // Every task runs at once, so that what is launched in between would win.
    ThreadPool direct =
        new ThreadPool(Settings.builder().put("node.name", "direct").build()) {
          @Override
          public ExecutorService executor(String name) {
            return OpenSearchExecutors.newDirectExecutorService();
          }
        };
    try {
      ChannelServices directly =
          new ChannelServices(null, direct, NamedXContentRegistry.EMPTY, () -> "node");
      ChannelRun run = ChannelRun.open(directly, Budget.start(LONG_MS), PLAN);
      AtomicBoolean started = new AtomicBoolean();
      List<Rewrite> none =
          new AbstractList<>() {
            @Override
            public Rewrite get(int index) {
              throw new IndexOutOfBoundsException(index);
            }

            @Override
            public int size() {
              // The run looks into its reply between taking it and ending.
              if (started.compareAndSet(false, true)) {
                run.searchStarted(new SearchRequest(), StartedRuns.task());
              }
              return 0;
            }
          };
      run.rewritesArrived(RewriteReply.pinned("ck", none));
      assertTrue(started.get());
      assertOutcome(Outcome.NO_REWRITES, run);
    } finally {
      ThreadPool.terminate(direct, 10, TimeUnit.SECONDS);
    }
  }

  @Test
  void aSearchThatFailedNeedsNoWindows() throws Exception {
    ChannelRun run = open(LONG_MS);
    StartedRuns.start(run, new SearchRequest());
    run.searchFailed();
    assertOutcome(Outcome.WINDOWS_FAILED, run);
    run.rewritesArrived(REWRITES);
    assertOutcome(Outcome.WINDOWS_FAILED, run);
  }

  @Test
  void aSearchThatWasCancelledNeedsNoWindows() throws Exception {
    ChannelRun run = open(LONG_MS);
    SearchTask task = StartedRuns.task();
    // Served, and there is no client to search with: to look for windows would be an error.
    run.searchStarted(
        new SearchRequest("dishes")
            .source(new SearchSourceBuilder().query(QueryBuilders.matchQuery("title", "soop"))),
        task);
    task.cancel("the client has hung up");
    run.rewritesArrived(REWRITES);
    assertOutcome(Outcome.WINDOWS_FAILED, run);
  }

  @Test
  void rewritesWaitForTheSearchAndFailIfItNeverBegan() throws Exception {
    ChannelRun run = open(LONG_MS);
    run.rewritesArrived(REWRITES);
    CompletableFuture<ChannelResult> result = resultOf(run);
    assertTrue(!result.isDone());
    run.searchEnded();
    assertEquals(
        new ChannelResult.NotFused(Outcome.WINDOWS_FAILED), result.get(10, TimeUnit.SECONDS));
  }
}
