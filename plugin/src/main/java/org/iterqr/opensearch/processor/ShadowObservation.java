package org.iterqr.opensearch.processor;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.RewriteReply;
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
import org.iterqr.opensearch.response.ShadowHit;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.HitFetch;
import org.iterqr.opensearch.search.HitFetch.DocumentId;
import org.iterqr.opensearch.search.HitKeys;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.support.ContextPreservingActionListener;
import org.opensearch.action.support.ListenerTimeouts;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.action.ActionListener;
import org.opensearch.search.SearchHit;
import org.opensearch.threadpool.ThreadPool;

/**
 * Sends the plain response at once and finds out afterwards what fusing would have shown, for the
 * observers alone. The hits sent are not touched any more: what is needed of them, here and by the
 * observers, is read before.
 */
final class ShadowObservation {
  private static final Logger logger = LogManager.getLogger(ShadowObservation.class);

  private final Answer answer;
  private final ThreadPool threadPool;
  private List<RankedHit> plainRanks;
  private List<DocumentId> plainIds;
  private SearchResponse sent;

  /**
   * @param answer of a search that has a run
   * @param threadPool of the node
   */
  ShadowObservation(Answer answer, ThreadPool threadPool) {
    this.answer = answer;
    this.threadPool = threadPool;
  }

  /** Sends; the observers are told when the run has ended. */
  void start() {
    try {
      SearchHit[] hits = answer.plain().getHits().getHits();
      plainRanks = Arrays.stream(hits).map(HitKeys::ranked).toList();
      plainIds = Arrays.stream(hits).map(DocumentId::of).toList();
    } catch (Throwable e) {
      // Another response processor may have put hits there that are of no shard.
      Faults.report(logger, "the plain response is sent, and not shadowed", e);
      answer.sendPlain(Outcome.ERROR);
      return;
    }
    sent = answer.shadowed();
    try {
      answer.send(sent);
    } finally {
      observe();
    }
  }

  private void observe() {
    try {
      answer.run().searchEnded();
      answer
          .run()
          .result(
              ContextPreservingActionListener.wrapPreservingContext(
                  guarded(
                      (ChannelResult result) -> {
                        switch (result) {
                          case ChannelResult.NotFused(Outcome outcome) -> end(outcome);
                          case ChannelResult.Rewritten(RewriteReply reply) -> expand(reply);
                          case ChannelResult.Retrieved retrieved -> fuse(retrieved);
                        }
                      }),
                  threadPool.getThreadContext()));
    } catch (Throwable e) {
      failed(e);
    }
  }

  /** What an expanded query would have found nobody knows without searching it. */
  private void expand(RewriteReply reply) throws IOException {
    Outcome would = Expansion.shadow(answer.run().plan(), reply, answer.request()).outcome();
    end(would == Outcome.EXPANDED ? Outcome.SHADOW : would);
  }

  private void fuse(ChannelResult.Retrieved retrieved) {
    if (!FusionDecision.knowsOriginals(retrieved.windows(), HitKeys.failedShards(answer.plain()))) {
      end(Outcome.WINDOWS_FAILED);
      return;
    }
    Optional<FusionFacts> facts =
        FusionDecision.decide(
            answer.run().plan(), answer.run().reply(), retrieved.windows(), answer.settings());
    if (facts.isEmpty()) {
      end(Outcome.BAD_REPLY);
      return;
    }
    if (Fusion.originalSuffices(retrieved.windows(), facts.get().plan())) {
      answer.observeShadow(Outcome.ORIGINAL_SUFFICES, facts, Optional.empty(), List.of(), sent);
      return;
    }
    int from = Eligibility.from(answer.request().source());
    int size = Eligibility.size(answer.request().source());
    List<FusedHit> fused = Fusion.fuse(retrieved.windows(), facts.get().plan());
    RewriteCredit credit = new RewriteCredit(retrieved.windows(), plainPlaces(from));
    FusedPage<DocumentId> page = new FusedPage<>(fused, from, size, id -> id, credit);
    AnsweredSearch.Fused list = new AnsweredSearch.Fused(retrieved, facts.get().plan(), fused);
    Window original = retrieved.windows().getFirst();
    Map<HitKey, DocumentId> known = new HashMap<>();
    int windowSize = answer.run().plan().options().windowSize();
    OriginalHits.recognise(original, windowSize, from, plainRanks)
        .forEach((key, position) -> known.put(key, plainIds.get(position)));
    page.put(known);
    List<FusedHit> missing = page.missing();
    if (missing.isEmpty()) {
      end(facts.get(), list, page, from);
      return;
    }
    long remainingMs = answer.run().budget().remainingMs();
    if (remainingMs <= 0) {
      end(Outcome.TIMEOUT);
      return;
    }
    answer.fetchStarts();
    HitFetch.identify(
        retrieved,
        missing,
        page.suspects(missing),
        ListenerTimeouts.wrapWithTimeout(
            threadPool,
            TimeValue.timeValueMillis(remainingMs),
            ThreadPool.Names.GENERIC,
            guarded(
                (HitFetch.Fetched<DocumentId> fetched) -> {
                  page.put(fetched.found());
                  page.drop(fetched.gone());
                  // Again, for what turned out to be in doubt; what moves up is not looked for.
                  page.missing();
                  end(facts.get(), list, page, from);
                }),
            ignored -> end(Outcome.TIMEOUT)));
  }

  private Map<DocumentId, ChannelRank> plainPlaces(int from) {
    Map<DocumentId, ChannelRank> places = new HashMap<>();
    for (int i = 0; i < plainIds.size(); i++) {
      float score = plainRanks.get(i).score();
      places.put(plainIds.get(i), new ChannelRank(new Channel.Original(), from + i + 1, score, 0));
    }
    return places;
  }

  private void end(
      FusionFacts facts, AnsweredSearch.Fused list, FusedPage<DocumentId> page, int from) {
    List<ShadowHit> shown = new ArrayList<>();
    for (FusedPage.Entry<DocumentId> entry : page.entries()) {
      shown.add(
          new ShadowHit(
              entry.hit().index(), entry.hit().id(), from + shown.size() + 1, entry.fused()));
    }
    answer.observeShadow(Outcome.SHADOW, Optional.of(facts), Optional.of(list), shown, sent);
  }

  private void end(Outcome outcome) {
    answer.observeShadow(outcome, Optional.empty(), Optional.empty(), List.of(), sent);
  }

  private <T> ActionListener<T> guarded(Step<T> step) {
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
        logger.debug("the shadow's page could not be made", e);
        end(Outcome.WINDOWS_FAILED);
      }
    };
  }

  private void failed(Throwable e) {
    Faults.report(logger, "a shadowed search is observed without its page", e);
    end(Outcome.ERROR);
  }

  private interface Step<T> {
    void run(T value) throws IOException;
  }
}
