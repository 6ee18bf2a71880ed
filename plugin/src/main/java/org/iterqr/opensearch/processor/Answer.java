package org.iterqr.opensearch.processor;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.FusedPage;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.page.PageToken;
import org.iterqr.opensearch.query.Eligibility;
import org.iterqr.opensearch.response.FusionFacts;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.response.ShadowHit;
import org.iterqr.opensearch.response.TaggedResponse;
import org.iterqr.opensearch.response.Timings;
import org.iterqr.opensearch.search.ChannelRun;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.core.action.ActionListener;
import org.opensearch.search.SearchHit;

/**
 * The one answer of one search: sent once, observed once, whatever is thrown. Whoever has something
 * to send claims the answer first. Thread-safe.
 */
final class Answer {
  private static final Logger logger = LogManager.getLogger(Answer.class);

  private final ChannelRun run;
  private final FusionSettings settings;
  private final SearchRequest request;
  private final SearchResponse plain;
  private final ActionListener<SearchResponse> listener;
  private final long startNanos = System.nanoTime();
  private final AtomicBoolean claimed = new AtomicBoolean();
  private volatile SearchObserver observer;
  private volatile long fetchStartNanos;
  private volatile long sentNanos;

  /**
   * @param run of the search, or null if the request processor left none
   * @param settings of the pipeline
   * @param observer is told of the answer
   * @param request of the search
   * @param plain its response
   * @param listener gets the response to send
   */
  Answer(
      ChannelRun run,
      FusionSettings settings,
      SearchObserver observer,
      SearchRequest request,
      SearchResponse plain,
      ActionListener<SearchResponse> listener) {
    this.run = run;
    this.settings = settings;
    this.observer = observer;
    this.request = request;
    this.plain = plain;
    this.listener = listener;
  }

  ChannelRun run() {
    return run;
  }

  FusionSettings settings() {
    return settings;
  }

  SearchRequest request() {
    return request;
  }

  SearchResponse plain() {
    return plain;
  }

  boolean isClaimed() {
    return claimed.get();
  }

  void fetchStarts() {
    if (fetchStartNanos == 0) {
      fetchStartNanos = System.nanoTime();
    }
  }

  /** Sends the plain response, unless another answer is on its way. */
  void sendPlain(Outcome outcome) {
    sendPlain(outcome, Optional.empty());
  }

  /**
   * Sends the plain response, unless another answer is on its way.
   *
   * @param outcome why it is plain
   * @param facts of the windows, if they were looked at
   */
  void sendPlain(Outcome outcome, Optional<FusionFacts> facts) {
    if (claim()) {
      sendClaimedPlain(outcome, facts);
    }
  }

  /**
   * Sends the fused page, unless another answer is on its way.
   *
   * @param list the whole fused list
   * @param facts how the windows were fused
   * @param page complete
   */
  void sendFused(
      AnsweredSearch.Fused list, FusionFacts facts, List<FusedPage.Entry<SearchHit>> page) {
    if (!claim()) {
      return;
    }
    boolean timedOut = list.retrieved().windows().stream().anyMatch(Window::timedOut);
    float maxScore = list.list().isEmpty() ? Float.NaN : (float) list.list().getFirst().score();
    SearchSummary summary;
    SearchResponse response;
    try {
      summary = summary(Outcome.FUSED, Optional.of(facts), pageToken(facts.plan()), List.of());
      response = TaggedResponse.fused(plain, page, maxScore, timedOut, tookMs(), summary);
    } catch (Throwable e) {
      Faults.report(logger, "the plain response is sent instead of the fused one", e);
      sendClaimedPlain(Outcome.ERROR, Optional.of(facts));
      return;
    }
    observe(summary, response, Optional.of(list), Map.of());
    listener.onResponse(response);
  }

  /**
   * Sends the response of a search whose query was to be expanded.
   *
   * @param expansion how that ended
   */
  void sendExpanded(Expansion.Result expansion) {
    if (expansion.outcome() != Outcome.EXPANDED) {
      sendPlain(expansion.outcome());
      return;
    }
    if (!claim()) {
      return;
    }
    SearchSummary summary;
    SearchResponse response;
    try {
      FusionPlan pinned = FusionDecision.expanded(run.plan(), settings, expansion.weights());
      summary = summary(Outcome.EXPANDED, Optional.empty(), pageToken(pinned), List.of());
      response = TaggedResponse.expanded(plain, run.reply().rewrites(), tookMs(), summary);
    } catch (Throwable e) {
      Faults.report(logger, "the response is sent without tags", e);
      observe(summary(Outcome.ERROR, Optional.empty(), "", List.of()), plain);
      listener.onResponse(plain);
      return;
    }
    observe(summary, response, Optional.empty(), expansion.weights());
    listener.onResponse(response);
  }

  /**
   * Makes the plain response of a shadowed search, to be sent at once; it is observed later, by
   * observers that have read now what they want of its hits.
   *
   * @return the response; the plain one untouched, if it cannot be tagged
   */
  SearchResponse shadowed() {
    sentNanos = System.nanoTime();
    SearchResponse response;
    try {
      SearchSummary summary = summary(Outcome.SHADOW, Optional.empty(), "", List.of());
      response = TaggedResponse.plain(plain, firstRank(), tookMs(), summary);
    } catch (Throwable e) {
      Faults.report(logger, "the plain response is sent untouched", e);
      response = plain;
    }
    observer = observer.answeredLater(run.plan().identity(), response);
    return response;
  }

  /**
   * Observes a shadowed search, once.
   *
   * @param outcome of what was kept back
   * @param facts of the windows, if they were looked at
   * @param list the whole fused list, if they were fused
   * @param page what fusing would have shown
   * @param sent the response that was sent
   */
  void observeShadow(
      Outcome outcome,
      Optional<FusionFacts> facts,
      Optional<AnsweredSearch.Fused> list,
      List<ShadowHit> page,
      SearchResponse sent) {
    if (claim()) {
      observe(summary(outcome, facts, "", page), sent, list, Map.of());
    }
  }

  void send(SearchResponse response) {
    listener.onResponse(response);
  }

  /** Before anything is written on hits: once a response is on its way, nobody may touch them. */
  private boolean claim() {
    return claimed.compareAndSet(false, true);
  }

  private void sendClaimedPlain(Outcome outcome, Optional<FusionFacts> facts) {
    SearchSummary summary;
    SearchResponse response;
    try {
      boolean laterPagesAreToo =
          outcome == Outcome.NO_REWRITES || outcome == Outcome.ORIGINAL_SUFFICES;
      String token =
          laterPagesAreToo ? pageToken(FusionDecision.originalAlone(run.plan(), settings)) : "";
      summary = summary(outcome, facts, token, List.of());
      response = TaggedResponse.plain(plain, firstRank(), tookMs(), summary);
    } catch (Throwable e) {
      Faults.report(logger, "the plain response is sent untouched", e);
      observe(summary(Outcome.ERROR, Optional.empty(), "", List.of()), plain);
      listener.onResponse(plain);
      return;
    }
    observe(summary, response);
    listener.onResponse(response);
  }

  private void observe(SearchSummary summary, SearchResponse response) {
    observe(summary, response, Optional.empty(), Map.of());
  }

  private void observe(
      SearchSummary summary,
      SearchResponse response,
      Optional<AnsweredSearch.Fused> list,
      Map<String, Double> expanded) {
    String requestId = run == null ? "" : run.plan().requestId();
    observer.answered(
        new AnsweredSearch(
            requestId, summary.identity(), summary, request, response, list, expanded));
  }

  private int firstRank() {
    return Eligibility.isByRank(request) ? Eligibility.from(request.source()) : -1;
  }

  private String pageToken(FusionPlan fusion) {
    RewriteReply reply = run.reply();
    return new PageToken(
            reply.rewrites().stream()
                .filter(rewrite -> fusion.rewrites().containsKey(rewrite.id()))
                .toList(),
            fusion,
            run.plan().options().windowSize(),
            reply.checkpointId(),
            run.plan().digest())
        .encode();
  }

  private SearchSummary summary(
      Outcome outcome, Optional<FusionFacts> facts, String pageToken, List<ShadowHit> shadow) {
    if (run == null) {
      long total = System.nanoTime() - startNanos;
      Timings timings =
          new Timings(Timings.NOT_REACHED, Timings.NOT_REACHED, Timings.NOT_REACHED, total, total);
      return new SearchSummary(
          SearchIdentity.NONE, outcome, Mode.OFF, "", null, facts, 0, pageToken, timings, shadow);
    }
    // A shadowed search's response was sent before.
    long addedNanos = (sentNanos == 0 ? System.nanoTime() : sentNanos) - startNanos;
    long fetchNanos =
        fetchStartNanos == 0 ? Timings.NOT_REACHED : System.nanoTime() - fetchStartNanos;
    return new SearchSummary(
        run.plan().identity(),
        outcome,
        run.plan().options().mode(),
        run.plan().query(),
        run.reply(),
        facts,
        run.plan().options().windowSize(),
        pageToken,
        new Timings(
            run.rewriteNanos(),
            run.windowsNanos(),
            fetchNanos,
            run.budget().elapsedNanos(),
            run.heldNanos() + addedNanos),
        shadow);
  }

  private long tookMs() {
    return plain.getTook().millis() + (System.nanoTime() - startNanos) / 1_000_000;
  }
}
