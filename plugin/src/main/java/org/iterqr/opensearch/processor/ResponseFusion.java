package org.iterqr.opensearch.processor;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.FusedPage;
import org.iterqr.opensearch.fusion.Fusion;
import org.iterqr.opensearch.fusion.FusionWeights;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.OriginalHits;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.page.PageToken;
import org.iterqr.opensearch.query.Eligibility;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.response.TaggedResponse;
import org.iterqr.opensearch.response.Timings;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.HitFetch;
import org.iterqr.opensearch.search.HitKeys;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.support.ContextPreservingActionListener;
import org.opensearch.action.support.ListenerTimeouts;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.action.ActionListener;
import org.opensearch.search.SearchHit;
import org.opensearch.threadpool.ThreadPool;

/**
 * Makes one search's response: waits for the windows, fuses them, fetches what the page lacks, and
 * answers exactly once, whatever is thrown on the way. The plain response is left as it is until
 * the fused page is complete.
 */
final class ResponseFusion {
  private static final Logger logger = LogManager.getLogger(ResponseFusion.class);

  /** Documents updated meanwhile are replaced by the next of the list, this often. */
  private static final int MAX_FETCHES = 3;

  private final ChannelRun run;
  private final FusionWeights weights;
  private final ThreadPool threadPool;
  private final SearchObserver observer;
  private final SearchRequest request;
  private final SearchResponse plain;
  private final ActionListener<SearchResponse> listener;
  private final long startNanos = System.nanoTime();
  private final AtomicBoolean answered = new AtomicBoolean();
  private long fetchStartNanos;

  /**
   * @param run of the search, or null if the request processor left none
   * @param weights of the pipeline
   * @param threadPool of the node
   * @param observer is told of the answer
   * @param request of the search
   * @param plain its response
   * @param listener gets the response to send
   */
  ResponseFusion(
      ChannelRun run,
      FusionWeights weights,
      ThreadPool threadPool,
      SearchObserver observer,
      SearchRequest request,
      SearchResponse plain,
      ActionListener<SearchResponse> listener) {
    this.run = run;
    this.weights =
        run == null ? weights : run.plan().pinned().map(PageToken::weights).orElse(weights);
    this.threadPool = threadPool;
    this.observer = observer;
    this.request = request;
    this.plain = plain;
    this.listener = listener;
  }

  /** Starts; the listener is called now or, at the latest, when the budget ends. */
  void start() {
    if (run == null) {
      logger.debug("the pipeline has [rewrite_channel] but no [query_rewrite] ran before it");
      answerPlain(Outcome.ERROR);
      return;
    }
    ActionListener<ChannelResult> onResult =
        guarded(
            result -> {
              switch (result) {
                case ChannelResult.NotFused(Outcome outcome) -> answerPlain(outcome);
                case ChannelResult.Retrieved retrieved -> fuse(retrieved);
              }
            });
    try {
      run.searchEnded();
      run.result(
          ContextPreservingActionListener.wrapPreservingContext(
              onResult, threadPool.getThreadContext()));
    } catch (Throwable e) {
      failed(e);
    }
  }

  private void fuse(ChannelResult.Retrieved retrieved) {
    Window original = retrieved.windows().getFirst();
    if (original.failedShards() > plain.getFailedShards()) {
      answerPlain(Outcome.WINDOWS_FAILED);
      return;
    }
    int from = Eligibility.from(request.source());
    int size = Eligibility.size(request.source());
    List<FusedHit> fused = Fusion.fuse(retrieved.windows(), weights);
    FusedPage<SearchHit> page = new FusedPage<>(fused, from, size, ResponseFusion::documentOf);
    page.put(recognised(original, from));
    complete(retrieved, fused, page, MAX_FETCHES);
  }

  private void complete(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> fused,
      FusedPage<SearchHit> page,
      int fetchesLeft) {
    List<FusedHit> missing = page.missing();
    if (missing.isEmpty() || fetchesLeft == 0) {
      answerFused(retrieved, fused, page);
      return;
    }
    long remainingMs = run.budget().remainingMs();
    if (remainingMs <= 0) {
      answerPlain(Outcome.TIMEOUT);
      return;
    }
    if (fetchStartNanos == 0) {
      fetchStartNanos = System.nanoTime();
    }
    ActionListener<Map<HitKey, SearchHit>> found =
        guarded(
            hits -> {
              Set<HitKey> gone = new HashSet<>();
              missing.forEach(hit -> gone.add(hit.key()));
              gone.removeAll(hits.keySet());
              page.put(hits);
              page.drop(gone);
              complete(retrieved, fused, page, fetchesLeft - 1);
            },
            Outcome.WINDOWS_FAILED);
    HitFetch.fetch(
        retrieved,
        missing,
        plain.getTotalShards(),
        ListenerTimeouts.wrapWithTimeout(
            threadPool,
            TimeValue.timeValueMillis(remainingMs),
            ThreadPool.Names.GENERIC,
            found,
            ignored -> answerPlain(Outcome.TIMEOUT)));
  }

  /** The plain response's hits by document, where that is beyond doubt. */
  private Map<HitKey, SearchHit> recognised(Window original, int from) {
    SearchHit[] hits = plain.getHits().getHits();
    Map<HitKey, SearchHit> recognised = new HashMap<>();
    OriginalHits.recognise(original, from, Arrays.stream(hits).map(HitKeys::ranked).toList())
        .forEach((key, position) -> recognised.put(key, hits[position]));
    return recognised;
  }

  private void answerFused(
      ChannelResult.Retrieved retrieved, List<FusedHit> fused, FusedPage<SearchHit> page) {
    if (!claimAnswer()) {
      return;
    }
    SearchSummary summary;
    SearchResponse response;
    try {
      summary = fusedSummary(retrieved);
      response = fusedResponse(retrieved, summary, fused, page);
    } catch (Throwable e) {
      Faults.report(logger, "the plain response is sent instead of the fused one", e);
      sendPlain(Outcome.ERROR);
      return;
    }
    send(summary, response, Optional.of(new AnsweredSearch.Fused(retrieved, weights, fused)));
  }

  private SearchSummary fusedSummary(ChannelResult.Retrieved retrieved) {
    Map<String, Integer> retrievedCounts = new HashMap<>();
    for (Window window : retrieved.windows()) {
      if (window.channel() instanceof Channel.Rewritten rewritten) {
        retrievedCounts.put(rewritten.rewrite().id(), window.hits().size());
      }
    }
    return summary(Outcome.FUSED, retrievedCounts, pageToken());
  }

  private SearchResponse fusedResponse(
      ChannelResult.Retrieved retrieved,
      SearchSummary summary,
      List<FusedHit> fused,
      FusedPage<SearchHit> page) {
    boolean timedOut = retrieved.windows().stream().anyMatch(Window::timedOut);
    float maxScore = fused.isEmpty() ? Float.NaN : (float) fused.getFirst().score();
    return TaggedResponse.fused(plain, page.entries(), maxScore, timedOut, tookMs(), summary);
  }

  private void answerPlain(Outcome outcome) {
    if (claimAnswer()) {
      sendPlain(outcome);
    }
  }

  private void sendPlain(Outcome outcome) {
    SearchSummary summary;
    SearchResponse response;
    try {
      summary = summary(outcome, Map.of(), outcome == Outcome.NO_REWRITES ? pageToken() : "");
      int from = request.source() == null ? 0 : Eligibility.from(request.source());
      response = TaggedResponse.plain(plain, from, tookMs(), summary);
    } catch (Throwable e) {
      Faults.report(logger, "the plain response is sent untouched", e);
      send(summary(Outcome.ERROR, Map.of(), ""), plain, Optional.empty());
      return;
    }
    send(summary, response, Optional.empty());
  }

  /** Before anything is written on hits: once a response is on its way, nobody may touch them. */
  private boolean claimAnswer() {
    return answered.compareAndSet(false, true);
  }

  private void send(
      SearchSummary summary, SearchResponse response, Optional<AnsweredSearch.Fused> fused) {
    String requestId = run == null ? "" : run.plan().requestId();
    observer.answered(
        new AnsweredSearch(requestId, summary.identity(), summary, request, response, fused));
    listener.onResponse(response);
  }

  private String pageToken() {
    RewriteReply reply = run.reply();
    return new PageToken(
            reply.rewrites(),
            weights,
            run.plan().windowSize(),
            reply.checkpointId(),
            run.plan().digest())
        .encode();
  }

  private SearchSummary summary(Outcome outcome, Map<String, Integer> retrieved, String pageToken) {
    if (run == null) {
      long total = System.nanoTime() - startNanos;
      Timings timings =
          new Timings(Timings.NOT_REACHED, Timings.NOT_REACHED, Timings.NOT_REACHED, total, total);
      return new SearchSummary(
          SearchIdentity.NONE, outcome, "", null, retrieved, 0, pageToken, timings);
    }
    long fetchNanos =
        fetchStartNanos == 0 ? Timings.NOT_REACHED : System.nanoTime() - fetchStartNanos;
    return new SearchSummary(
        run.plan().identity(),
        outcome,
        run.plan().query(),
        run.reply(),
        retrieved,
        run.plan().windowSize(),
        pageToken,
        new Timings(
            run.rewriteNanos(),
            run.windowsNanos(),
            fetchNanos,
            run.budget().elapsedNanos(),
            run.heldNanos() + System.nanoTime() - startNanos));
  }

  private long tookMs() {
    return plain.getTook().millis() + (System.nanoTime() - startNanos) / 1_000_000;
  }

  private static Object documentOf(SearchHit hit) {
    return hit.getId() == null ? null : List.of(hit.getIndex(), hit.getId());
  }

  private <T> ActionListener<T> guarded(Step<T> step) {
    return guarded(step, Outcome.ERROR);
  }

  /**
   * A step whose failure gives the plain response, as does its input's.
   *
   * @param noInput outcome where there is no input
   */
  private <T> ActionListener<T> guarded(Step<T> step, Outcome noInput) {
    return new ActionListener<>() {
      @Override
      public void onResponse(T value) {
        try {
          step.run(value);
        } catch (Throwable e) {
          failed(e);
        }
      }

      @Override
      public void onFailure(Exception e) {
        if (noInput == Outcome.ERROR) {
          failed(e);
        } else {
          logger.debug("the channel failed", e);
          answerPlain(noInput);
        }
      }
    };
  }

  private void failed(Throwable e) {
    if (answered.get() && e instanceof Error error) {
      // Not the channel's: it is what the listener threw at its answer.
      throw error;
    }
    Faults.report(logger, "the channel failed", e);
    answerPlain(Outcome.ERROR);
  }

  private interface Step<T> {
    void run(T value);
  }
}
