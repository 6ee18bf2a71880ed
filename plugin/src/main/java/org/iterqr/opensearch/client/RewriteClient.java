package org.iterqr.opensearch.client;

import java.io.Closeable;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.settings.SettingsException;
import org.opensearch.core.action.ActionListener;

/**
 * Asks the rewrite servers for rewrites, never blocking the caller. Thread-safe. Listeners are
 * called on the executor given, without the caller's thread context, or at once by the caller.
 */
public final class RewriteClient implements Closeable {
  private static final Logger logger = LogManager.getLogger(RewriteClient.class);

  /** A search that waits for the call of another, with what it needs to make its own. */
  private record Waiter(
      RewriteCall call, CacheKey key, long deadlineNanos, ActionListener<RewriteReply> listener) {}

  private final ReplicaPool pool;
  private final ReplicaCalls calls;
  private final ReplyCache cache;
  private final SingleFlight<CacheKey, Waiter> flights = new SingleFlight<>();
  private final LongAdder coalesced = new LongAdder();
  private final Path configFolder;
  private ConnectionSecurity security;
  private volatile ClientConfig config;

  /**
   * Starts connecting at once. Certificates that cannot be used are logged and leave the node
   * without rewrites, but not without searches.
   *
   * @param settings of the node, with the keystore open
   * @param configFolder of the node
   * @param executor of the node's thread pool; runs the listeners
   */
  public RewriteClient(Settings settings, Path configFolder, ExecutorService executor) {
    this.configFolder = configFolder;
    this.config = ClientSettings.read(settings);
    this.pool = new ReplicaPool(executor, () -> config.breaker());
    this.calls = new ReplicaCalls(pool, () -> config);
    this.cache = new ReplyCache(config.cache(), System::nanoTime);
    try {
      security = TlsSettings.read(settings, configFolder);
    } catch (SettingsException e) {
      logger.error("no rewrite server can be asked until this is put right and reloaded", e);
      security = new ConnectionSecurity.Broken();
    }
    pool.use(config.endpoints(), security);
  }

  /**
   * @param clusterSettings whose changes are to be followed
   */
  public void follow(ClusterSettings clusterSettings) {
    clusterSettings.addSettingsUpdateConsumer(this::configure, ClientSettings.ALL);
  }

  /**
   * Reads certificates and passphrase again and connects anew with them; calls in flight end on the
   * old connections. If they cannot be used, nothing changes.
   *
   * @param settings of the node, with the keystore open
   * @throws SettingsException naming the setting that cannot be used
   */
  public synchronized void reload(Settings settings) {
    security = TlsSettings.read(settings, configFolder);
    pool.use(config.endpoints(), security);
  }

  /**
   * Finds rewrites in the node's cache, or starts a call, or joins one that is under way.
   *
   * @param call what to rewrite, until when
   * @param listener gets the checked reply, or a {@link RewriteCallException} that names the
   *     outcome
   */
  public void rewrite(RewriteCall call, ActionListener<RewriteReply> listener) {
    long deadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(call.deadlineMs());
    if (!config.cache().isEnabled()) {
      calls.start(call, deadlineNanos, listener);
      return;
    }
    CacheKey key = CacheKey.of(call);
    RewriteReply cached = cache.get(key);
    if (cached != null) {
      listener.onResponse(cached);
    } else {
      share(new Waiter(call, key, deadlineNanos, listener));
    }
  }

  /**
   * @return its state now
   */
  public ClientStats stats() {
    return new ClientStats(
        calls.inFlight(), coalesced.sum(), calls.notAsked(), cache.stats(), pool.stats());
  }

  private void share(Waiter waiter) {
    SingleFlight<CacheKey, Waiter>.Flight flight =
        flights.joinOrMake(waiter.key(), System.nanoTime(), waiter.deadlineNanos(), waiter);
    if (flight == null) {
      coalesced.increment();
      return;
    }
    long generation = cache.generation();
    calls.start(
        waiter.call(),
        waiter.deadlineNanos(),
        new ActionListener<>() {
          @Override
          public void onResponse(RewriteReply reply) {
            if (!reply.isPartial()) {
              cache.put(waiter.key(), reply, generation);
            }
            RewriteReply shared = reply.from(ReplySource.NODE_COALESCED);
            flight.land().forEach(other -> answer(() -> other.listener().onResponse(shared)));
            waiter.listener().onResponse(reply);
          }

          @Override
          public void onFailure(Exception failure) {
            flight.land().forEach(other -> answer(() -> failedFor(other, failure)));
            waiter.listener().onFailure(failure);
          }
        });
  }

  /** What one search throws at its answer keeps the others from none. */
  private static void answer(Runnable search) {
    try {
      search.run();
    } catch (Throwable e) {
      Faults.report(logger, "a search threw at its rewrites", e);
    }
  }

  /**
   * The call that was joined ran out of its own time; who came later has some left. Half of it at
   * least is worth a call: with less, a query that many search for would make ever shorter ones.
   */
  private void failedFor(Waiter waiter, Exception failure) {
    boolean isTimeout =
        failure instanceof RewriteCallException call && call.outcome() == Outcome.TIMEOUT;
    long leftNanos = waiter.deadlineNanos() - System.nanoTime();
    if (isTimeout && leftNanos >= TimeUnit.MILLISECONDS.toNanos(waiter.call().deadlineMs()) / 2) {
      share(waiter);
    } else {
      waiter.listener().onFailure(failure);
    }
  }

  @Override
  public void close() {
    pool.close();
  }

  private synchronized void configure(Settings settings) {
    ClientConfig before = config;
    config = ClientSettings.read(settings);
    cache.configure(config.cache());
    if (!config.endpoints().equals(before.endpoints())) {
      pool.use(config.endpoints(), security);
      // Other servers may have other models.
      cache.clear();
    }
  }
}
