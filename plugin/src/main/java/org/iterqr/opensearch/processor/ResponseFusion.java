package org.iterqr.opensearch.processor;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.ChannelRank;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.FusedPage;
import org.iterqr.opensearch.fusion.Fusion;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.OriginalHits;
import org.iterqr.opensearch.fusion.RankedHit;
import org.iterqr.opensearch.fusion.RewriteCredit;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.query.Eligibility;
import org.iterqr.opensearch.response.FusionFacts;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.HitFetch;
import org.iterqr.opensearch.search.HitKeys;
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
  private final Answer answer;
  private final ThreadPool threadPool;

  /**
   * @param answer of the search
   * @param threadPool of the node
   */
  ResponseFusion(Answer answer, ThreadPool threadPool) {
    this.run = answer.run();
    this.answer = answer;
    this.threadPool = threadPool;
  }

  /** Starts; the answer is sent now or, at the latest, when the budget ends. */
  void start() {
    if (run == null) {
      logger.debug("the pipeline has [rewrite_channel] but no [query_rewrite] ran before it");
      answer.sendPlain(Outcome.ERROR);
      return;
    }
    ActionListener<ChannelResult> onResult =
        guarded(
            result -> {
              switch (result) {
                case ChannelResult.NotFused(Outcome outcome) -> answer.sendPlain(outcome);
                case ChannelResult.Rewritten ignored -> answer.sendPlain(Outcome.ERROR);
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
    if (!FusionDecision.knowsOriginals(retrieved.windows(), HitKeys.failedShards(answer.plain()))) {
      answer.sendPlain(Outcome.WINDOWS_FAILED);
      return;
    }
    Optional<FusionFacts> facts =
        FusionDecision.decide(run.plan(), run.reply(), retrieved.windows(), answer.settings());
    if (facts.isEmpty()) {
      answer.sendPlain(Outcome.BAD_REPLY);
      return;
    }
    if (Fusion.originalSuffices(retrieved.windows(), facts.get().plan())) {
      answer.sendPlain(Outcome.ORIGINAL_SUFFICES, facts);
      return;
    }
    int from = Eligibility.from(answer.request().source());
    int size = Eligibility.size(answer.request().source());
    List<FusedHit> fused = Fusion.fuse(retrieved.windows(), facts.get().plan());
    RewriteCredit credit = new RewriteCredit(retrieved.windows(), plainPlaces(from));
    FusedPage<SearchHit> page =
        new FusedPage<>(fused, from, size, ResponseFusion::documentOf, credit);
    page.put(recognised(original, from));
    AnsweredSearch.Fused list = new AnsweredSearch.Fused(retrieved, facts.get().plan(), fused);
    complete(list, facts.get(), page, MAX_FETCHES);
  }

  private void complete(
      AnsweredSearch.Fused list, FusionFacts facts, FusedPage<SearchHit> page, int fetchesLeft) {
    List<FusedHit> missing = page.missing();
    if (missing.isEmpty() || fetchesLeft == 0) {
      answer.sendFused(list, facts, page.entries());
      return;
    }
    long remainingMs = run.budget().remainingMs();
    if (remainingMs <= 0) {
      answer.sendPlain(Outcome.TIMEOUT);
      return;
    }
    answer.fetchStarts();
    ActionListener<HitFetch.Fetched<SearchHit>> found =
        guarded(
            fetched -> {
              page.put(fetched.found());
              page.drop(fetched.gone());
              complete(list, facts, page, fetchesLeft - 1);
            },
            Outcome.WINDOWS_FAILED);
    HitFetch.fetch(
        list.retrieved(),
        missing,
        page.suspects(missing),
        ListenerTimeouts.wrapWithTimeout(
            threadPool,
            TimeValue.timeValueMillis(remainingMs),
            ThreadPool.Names.GENERIC,
            found,
            ignored -> answer.sendPlain(Outcome.TIMEOUT)));
  }

  /** The plain response's hits by document, where that is beyond doubt. */
  private Map<HitKey, SearchHit> recognised(Window original, int from) {
    SearchHit[] hits = answer.plain().getHits().getHits();
    Map<HitKey, SearchHit> recognised = new HashMap<>();
    int windowSize = run.plan().options().windowSize();
    List<RankedHit> ranked = Arrays.stream(hits).map(HitKeys::ranked).toList();
    OriginalHits.recognise(original, windowSize, from, ranked)
        .forEach((key, position) -> recognised.put(key, hits[position]));
    return recognised;
  }

  private Map<Object, ChannelRank> plainPlaces(int from) {
    Map<Object, ChannelRank> places = new HashMap<>();
    SearchHit[] hits = answer.plain().getHits().getHits();
    for (int i = 0; i < hits.length; i++) {
      Object document = documentOf(hits[i]);
      if (document != null) {
        places.put(
            document, new ChannelRank(new Channel.Original(), from + i + 1, hits[i].getScore(), 0));
      }
    }
    return places;
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
          answer.sendPlain(noInput);
        }
      }
    };
  }

  private void failed(Throwable e) {
    if (answer.isClaimed() && e instanceof Error error) {
      // Not the channel's: it is what the listener threw at its answer.
      throw error;
    }
    Faults.report(logger, "the channel failed", e);
    answer.sendPlain(Outcome.ERROR);
  }

  private interface Step<T> {
    void run(T value);
  }
}
