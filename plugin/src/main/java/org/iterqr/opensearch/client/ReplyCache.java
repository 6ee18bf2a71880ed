package org.iterqr.opensearch.client;

import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import org.opensearch.common.cache.Cache;
import org.opensearch.common.cache.CacheBuilder;

/**
 * Complete replies, kept for a short time on the node. One without rewrites is kept too, for less
 * time. Bounded by memory: the least recently used go first. Thread-safe.
 */
final class ReplyCache {
  /** Headers, references and the numbers of an entry and of a rewrite, roughly. */
  private static final long ENTRY_BYTES = 400;

  private static final long REWRITE_BYTES = 160;

  private record Entry(RewriteReply reply, long expiresAtNanos) {}

  private final LongSupplier nanoTime;
  private final LongAdder hits = new LongAdder();
  private final LongAdder negativeHits = new LongAdder();
  private final LongAdder misses = new LongAdder();
  private volatile CacheSettings settings;
  private volatile Cache<CacheKey, Entry> entries;
  private long generation;

  /**
   * @param settings in force from now on
   * @param nanoTime a clock like {@link System#nanoTime}
   */
  ReplyCache(CacheSettings settings, LongSupplier nanoTime) {
    this.nanoTime = nanoTime;
    configure(settings);
  }

  /**
   * Forgets all entries, which may have been kept for longer, and starts again.
   *
   * @param next in force from now on
   */
  synchronized void configure(CacheSettings next) {
    if (!next.equals(settings)) {
      settings = next;
      clear();
    }
  }

  /** Forgets all entries. */
  synchronized void clear() {
    generation++;
    entries =
        CacheBuilder.<CacheKey, Entry>builder()
            .setMaximumWeight(settings.maxBytes())
            .weigher((key, entry) -> bytes(key, entry.reply()))
            .build();
  }

  /**
   * @param key of a call
   * @return the reply, marked as this cache's, or null
   */
  RewriteReply get(CacheKey key) {
    Cache<CacheKey, Entry> current = entries;
    Entry entry = current.get(key);
    if (entry != null && nanoTime.getAsLong() - entry.expiresAtNanos() >= 0) {
      current.invalidate(key, entry);
      entry = null;
    }
    if (entry == null) {
      misses.increment();
      return null;
    }
    (entry.reply().rewrites().isEmpty() ? negativeHits : hits).increment();
    return entry.reply();
  }

  /**
   * @return changes each time all entries are forgotten
   */
  synchronized long generation() {
    return generation;
  }

  /**
   * @param key of the call
   * @param reply a complete one
   * @param madeIn the generation when the call was made; a reply of an earlier one is not kept
   */
  synchronized void put(CacheKey key, RewriteReply reply, long madeIn) {
    if (madeIn != generation) {
      return;
    }
    CacheSettings limits = settings;
    long ttlNanos = reply.rewrites().isEmpty() ? limits.negativeTtlNanos() : limits.ttlNanos();
    if (ttlNanos > 0) {
      RewriteReply kept = reply.from(ReplySource.NODE_CACHE);
      entries.put(key, new Entry(kept, nanoTime.getAsLong() + ttlNanos));
    }
  }

  ClientStats.CacheStats stats() {
    Cache<CacheKey, Entry> current = entries;
    return new ClientStats.CacheStats(
        hits.sum(), negativeHits.sum(), misses.sum(), current.count(), current.weight());
  }

  private static long bytes(CacheKey key, RewriteReply reply) {
    long characters =
        key.tenant().length()
            + key.region().length()
            + key.query().length()
            + reply.checkpointId().length()
            + reply.fix().length()
            + reply.intent().length()
            + reply.meaning().length()
            + reply.policyJson().length();
    for (String hint : reply.hints()) {
      characters += hint.length();
    }
    for (Rewrite rewrite : reply.rewrites()) {
      characters += rewrite.text().length();
    }
    return ENTRY_BYTES + REWRITE_BYTES * reply.rewrites().size() + 2 * characters;
  }
}
