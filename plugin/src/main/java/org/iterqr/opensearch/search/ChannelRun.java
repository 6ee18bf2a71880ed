package org.iterqr.opensearch.search;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.RewriteCallException;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.page.PageToken;
import org.iterqr.opensearch.query.Eligibility;
import org.iterqr.opensearch.query.NamedClause;
import org.iterqr.opensearch.query.Rewriting;
import org.iterqr.opensearch.query.SearchSource;
import org.iterqr.opensearch.response.Timings;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.common.util.concurrent.AbstractRunnable;
import org.opensearch.common.util.concurrent.ListenableFuture;
import org.opensearch.common.util.concurrent.OpenSearchExecutors;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.tasks.TaskId;
import org.opensearch.tasks.CancellableTask;
import org.opensearch.threadpool.Scheduler;
import org.opensearch.threadpool.ThreadPool;

/**
 * The rewrite channel of one search, from its request to its response processor. Two things must
 * come together before windows are searched: the rewrites, and the request as it is after all
 * request processors, known when the original search begins. Whatever happens, the result is there
 * when the budget ends. Thread-safe.
 */
public final class ChannelRun {
  /** Where the request processor leaves it for the others. */
  public static final String ATTRIBUTE = "iterqr.channel_run";

  private static final Logger logger = LogManager.getLogger(ChannelRun.class);

  /**
   * What the request processor found out.
   *
   * @param requestId ties the server's logs to this search; empty if the server is not asked
   * @param identity who searches
   * @param options in force
   * @param query the user's text; empty if there is none
   * @param givenQuery {@code ext.iterqr.query}, or null
   * @param digest of what the search retrieves from; empty if there is no text
   * @param pinned the page token in force, if any
   */
  public record Plan(
      String requestId,
      SearchIdentity identity,
      SearchOptions options,
      String query,
      String givenQuery,
      String digest,
      Optional<PageToken> pinned) {
    /**
     * @param source of the search as it is by now
     * @return how rewrites are searched for; empty if they have nowhere to go
     */
    public Optional<Rewriting> rewriting(SearchSource source) {
      return Rewriting.find(
          source.query(), givenQuery, identity.userQuery(), options.rewriteQuery());
    }
  }

  private record StartedSearch(
      SearchRequest request, CancellableTask task, Supplier<ThreadContext.StoredContext> context) {}

  private final ChannelServices services;
  private final Budget budget;
  private final Plan plan;
  private final ListenableFuture<ChannelResult> result = new ListenableFuture<>();
  private final AtomicBoolean hasEnded = new AtomicBoolean();
  private final Scheduler.Cancellable expiry;
  private final boolean open;

  private RewriteReply reply;
  private StartedSearch started;
  private volatile long rewriteNanos = Timings.NOT_REACHED;
  private volatile long windowsNanos = Timings.NOT_REACHED;
  private volatile long heldNanos;

  private ChannelRun(ChannelServices services, Budget budget, Plan plan, boolean open) {
    this.services = services;
    this.budget = budget;
    this.plan = plan;
    this.open = open;
    // GENERIC: the answer must come in time even when the search pool's queue is full.
    this.expiry =
        open
            ? services
                .threadPool()
                .schedule(
                    () -> end(Outcome.TIMEOUT),
                    TimeValue.timeValueMillis(Math.max(1, budget.remainingMs())),
                    ThreadPool.Names.GENERIC)
            : null;
  }

  /**
   * @param services of the node
   * @param budget of the search
   * @param plan what to search for
   * @return a run that waits for rewrites and for the search's start
   */
  public static ChannelRun open(ChannelServices services, Budget budget, Plan plan) {
    return new ChannelRun(services, budget, plan, true);
  }

  /**
   * @param services of the node
   * @param budget of the search
   * @param plan what is known of the search
   * @param outcome why nothing is to be fused
   * @return a run that has its result
   */
  public static ChannelRun ended(
      ChannelServices services, Budget budget, Plan plan, Outcome outcome) {
    ChannelRun run = new ChannelRun(services, budget, plan, false);
    run.end(outcome);
    return run;
  }

  /**
   * @return the budget of the search
   */
  public Budget budget() {
    return budget;
  }

  /**
   * @return what the request processor found out
   */
  public Plan plan() {
    return plan;
  }

  /**
   * @return whether the request processor ended it: no rewrite was asked for
   */
  public boolean wasPassedThrough() {
    return !open;
  }

  /**
   * @return the rewrites, or null as long as there are none
   */
  public synchronized RewriteReply reply() {
    return reply;
  }

  /**
   * @return time from the start until the rewrites were there
   */
  public long rewriteNanos() {
    return rewriteNanos;
  }

  /**
   * @return time the windows' searches took
   */
  public long windowsNanos() {
    return windowsNanos;
  }

  /**
   * @return how long the request processor held the search back
   */
  public long heldNanos() {
    return heldNanos;
  }

  /** The request processor lets the search go on. */
  public void handedOn() {
    heldNanos = budget.elapsedNanos();
  }

  /**
   * @param listener gets the result, at the budget's end at the latest; called by the thread that
   *     has it, or at once
   */
  public void result(ActionListener<ChannelResult> listener) {
    result.addListener(listener, OpenSearchExecutors.newDirectExecutorService());
  }

  /**
   * The rewrites are there.
   *
   * @param rewrites checked; an empty list ends the run
   */
  public void rewritesArrived(RewriteReply rewrites) {
    rewriteNanos = budget.elapsedNanos();
    StartedSearch search;
    synchronized (this) {
      reply = rewrites;
      search = started;
    }
    if (rewrites.rewrites().isEmpty()) {
      end(Outcome.NO_REWRITES);
    } else if (plan.options().mode().expands()) {
      end(new ChannelResult.Rewritten(rewrites));
    } else if (search != null) {
      launch(search, rewrites);
    }
  }

  /**
   * There will be no rewrites.
   *
   * @param failure why
   */
  public void rewritesFailed(Exception failure) {
    Outcome outcome = failure instanceof RewriteCallException call ? call.outcome() : Outcome.ERROR;
    logger.debug("no rewrites: {}", outcome.wireName(), failure);
    end(outcome);
  }

  /**
   * The original search begins: from now on nobody changes its request. Called in its thread
   * context, possibly more than once.
   *
   * @param request as it is searched
   * @param task of the search, on this node
   */
  void searchStarted(SearchRequest request, CancellableTask task) {
    if (hasEnded.get() || plan.options().mode().expands()) {
      return;
    }
    StartedSearch search =
        new StartedSearch(
            request, task, services.threadPool().getThreadContext().newRestorableContext(true));
    RewriteReply rewrites;
    synchronized (this) {
      if (started != null) {
        return;
      }
      started = search;
      rewrites = reply;
    }
    // An empty reply is about to end the run in another thread.
    if (rewrites != null && !rewrites.rewrites().isEmpty()) {
      launch(search, rewrites);
    }
  }

  /**
   * The original search is over. If it never began in a way the run could see (its request was
   * replaced, or it reached no shard of this cluster), there is nothing to search windows with.
   */
  public void searchEnded() {
    if (plan.options().mode().expands()) {
      return;
    }
    boolean seen;
    synchronized (this) {
      seen = started != null;
    }
    if (!seen) {
      end(Outcome.WINDOWS_FAILED);
    }
  }

  /**
   * The original search has failed: nobody will ask for the result, nor need it be searched for.
   */
  void searchFailed() {
    end(Outcome.WINDOWS_FAILED);
  }

  private void launch(StartedSearch search, RewriteReply rewrites) {
    if (hasEnded.get()) {
      return;
    }
    services
        .threadPool()
        .executor(ThreadPool.Names.SEARCH)
        .execute(
            new AbstractRunnable() {
              @Override
              protected void doRun() throws Exception {
                Optional<Outcome> notSearched;
                try (ThreadContext.StoredContext ignored = search.context().get()) {
                  notSearched = searchWindows(search, rewrites);
                } catch (Error e) {
                  Faults.report(logger, "the channel failed", e);
                  notSearched = Optional.of(Outcome.ERROR);
                }
                notSearched.ifPresent(ChannelRun.this::end);
              }

              @Override
              public void onFailure(Exception e) {
                windowsFailed(e);
              }
            });
  }

  /** Starts the searches; returns why not, if it does not. */
  private Optional<Outcome> searchWindows(StartedSearch search, RewriteReply rewrites)
      throws IOException {
    if (hasEnded.get() || search.task().isCancelled()) {
      // Nobody waits: the client has hung up, or the search has failed or was answered meanwhile.
      return Optional.of(Outcome.WINDOWS_FAILED);
    }
    // Later request processors may have made it a search that is not served.
    Optional<Outcome> skip = Eligibility.skipReason(search.request(), plan.options().windowSize());
    if (skip.isPresent()) {
      return skip;
    }
    SearchSource source = SearchSource.of(search.request().source());
    Optional<Rewriting> rewriting = plan.rewriting(source);
    if (rewriting.isEmpty()) {
      return Optional.of(Outcome.SKIPPED_NO_TEXT);
    }
    if (!NamedClause.canAllBeSearched(source.namedClauses())) {
      return Optional.of(Outcome.WINDOWS_FAILED);
    }
    long start = System.nanoTime();
    ChildSearches searches =
        new ChildSearches(
            services,
            search.request(),
            new TaskId(services.localNodeId().get(), search.task().getId()),
            budget,
            plan.digest());
    WindowSearch.search(
        searches,
        source,
        rewriting.get(),
        rewrites.rewrites(),
        plan.options().windowSize(),
        ActionListener.wrap(
            (List<Window> windows) -> {
              windowsNanos = System.nanoTime() - start;
              end(new ChannelResult.Retrieved(searches, source, rewriting.get(), windows));
            },
            this::windowsFailed));
    return Optional.empty();
  }

  private void windowsFailed(Exception failure) {
    logger.debug("windows could not be searched", failure);
    // Searches are cancelled when the budget ends; which of the two is seen first is chance.
    end(budget.remainingMs() <= 0 ? Outcome.TIMEOUT : Outcome.WINDOWS_FAILED);
  }

  private void end(Outcome outcome) {
    end(new ChannelResult.NotFused(outcome));
  }

  /** The first result counts. */
  private void end(ChannelResult ending) {
    if (!hasEnded.compareAndSet(false, true)) {
      return;
    }
    if (expiry != null) {
      expiry.cancel();
    }
    result.onResponse(ending);
  }
}
