package org.iterqr.opensearch.impression;

import java.io.IOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.identity.ClientIdHasher;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.response.RequestExt;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.ubi.UbiParameters;
import org.iterqr.opensearch.ubi.UbiQueryDocument;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.threadpool.ThreadPool;

/**
 * Logs answered searches: as impressions and, if wanted, as UBI queries. Hits are read before the
 * response is sent, since nobody may touch them afterwards; everything but making the documents
 * happens beside the searches. Thread-safe.
 */
public final class ImpressionLog implements SearchObserver {
  private static final Logger logger = LogManager.getLogger(ImpressionLog.class);
  private static final int ID_RADIX = 36;
  private static final SearchObserver NOT_LOGGED = search -> {};

  private final ClientIdHasher hasher;
  private final boolean takesEventTime;
  private final Supplier<String> nodeRun;
  private final LogWriter impressions;
  private final LogQueue impressionQueue;
  private final LogWriter ubiQueries;
  private final LogQueue ubiQueue;
  private final AtomicLong sequence = new AtomicLong();
  private final LongAdder sampledOut = new LongAdder();
  private final LongAdder failed = new LongAdder();
  private volatile ImpressionSettings settings;
  private volatile boolean writesUbiQueries;

  /**
   * @param settings to start with
   * @param hasher of client ids
   * @param takesEventTime whether a search that says when it happened is believed
   * @param nodeRun names this run of this node, as soon as searches are answered
   * @param threadPool of the node
   * @param stream where impressions go
   * @param queries where UBI queries go
   */
  public ImpressionLog(
      ImpressionSettings settings,
      ClientIdHasher hasher,
      boolean takesEventTime,
      Supplier<String> nodeRun,
      ThreadPool threadPool,
      LogSender stream,
      LogSender queries) {
    this.settings = settings;
    this.hasher = hasher;
    this.takesEventTime = takesEventTime;
    this.nodeRun = nodeRun;
    this.impressionQueue = new LogQueue(settings.limits());
    this.impressions = writer(impressionQueue, stream, threadPool, settings);
    this.ubiQueue = new LogQueue(settings.limits());
    this.ubiQueries = writer(ubiQueue, queries, threadPool, settings);
  }

  /**
   * @param changed for searches from now on
   */
  public void settings(ImpressionSettings changed) {
    settings = changed;
    impressionQueue.limits(changed.limits());
    impressions.pace(changed.pace());
    ubiQueue.limits(changed.limits());
    ubiQueries.pace(changed.pace());
  }

  /**
   * @return settings as they are now
   */
  public ImpressionSettings settings() {
    return settings;
  }

  /**
   * @param whether UBI queries are written too
   */
  public void writesUbiQueries(boolean whether) {
    writesUbiQueries = whether;
  }

  @Override
  public void answered(AnsweredSearch search) {
    answeredLater(search.identity(), search.response()).answered(search);
  }

  @Override
  public SearchObserver answeredLater(SearchIdentity identity, SearchResponse response) {
    ImpressionSettings now = settings;
    boolean writesUbi = writesUbiQueries;
    // Without a request processor nobody knows who searched.
    if (!(now.logsImpressions() || writesUbi) || identity.queryId().isEmpty()) {
      return NOT_LOGGED;
    }
    if (!Sampling.takes(identity, now.sampleRate())) {
      sampledOut.increment();
      return NOT_LOGGED;
    }
    try {
      List<ShownHit> shown =
          ShownHit.of(response.getHits().getHits(), identity.ubi().objectIdField());
      return search -> log(search, shown, now, writesUbi);
    } catch (IOException | RuntimeException e) {
      failed(e);
      return NOT_LOGGED;
    }
  }

  /**
   * Takes nothing any more and waits until all is written.
   *
   * @param patience longest wait
   */
  public void close(TimeValue patience) {
    impressions.close();
    ubiQueries.close();
    long deadline = System.nanoTime() + patience.nanos();
    try {
      impressions.awaitDrained(patience.millis());
      ubiQueries.awaitDrained(
          Math.max(0, TimeValue.timeValueNanos(deadline - System.nanoTime()).millis()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    long lost = impressionQueue.heldEntries() + (long) ubiQueue.heldEntries();
    if (lost > 0) {
      logger.warn("{} log documents are lost: they could not be written before the end", lost);
    }
  }

  /**
   * @return the numbers as they are now
   */
  public ImpressionStats stats() {
    return new ImpressionStats(
        hasher.hasKey(), sampledOut.sum(), failed.sum(), impressions.stats(), ubiQueries.stats());
  }

  private void log(
      AnsweredSearch search, List<ShownHit> shown, ImpressionSettings now, boolean writesUbi) {
    SearchIdentity identity = search.identity();
    Instant at = time(search.request(), takesEventTime, Instant.now());
    try {
      ImpressionDocument.Context context =
          new ImpressionDocument.Context(
              at, hasher.hash(identity.clientId()), shown, now.redactsQueries());
      String id = documentId(identity);
      if (now.logsImpressions()) {
        impressions.write(new LogEntry(id, ImpressionDocument.of(search, context)));
      }
      if (writesUbi) {
        UbiQueryDocument document = ubiQuery(search, context, UUID.randomUUID().toString());
        ubiQueries.write(new LogEntry(id, document.json()));
      }
    } catch (IOException | RuntimeException e) {
      failed(e);
    }
  }

  private void failed(Exception e) {
    failed.increment();
    logger.debug("an impression was not logged", e);
  }

  /**
   * A section may also come from another cluster's node, which takes what this one does not.
   *
   * @param request as it was searched
   * @param takesEventTime whether a search that says when it happened is believed
   * @param now what the node's clock says
   * @return when the search happened
   */
  static Instant time(SearchRequest request, boolean takesEventTime, Instant now) {
    Optional<Instant> told = takesEventTime ? RequestExt.of(request).eventTime() : Optional.empty();
    return told.orElse(now.truncatedTo(ChronoUnit.MILLIS));
  }

  /**
   * @param search answered
   * @param context of it
   * @param responseId of its response
   * @return the UBI query; redacted, it has nothing of the application's own attributes, which may
   *     repeat the query or the client id
   */
  static UbiQueryDocument ubiQuery(
      AnsweredSearch search, ImpressionDocument.Context context, String responseId) {
    boolean redacted = context.redacted();
    UbiParameters told = search.identity().ubi();
    return new UbiQueryDocument(
        context.at(),
        redacted ? told.withoutQueryAttributes() : told,
        redacted ? "" : ImpressionDocument.userQuery(search),
        context.clientHash(),
        responseId,
        context.objectIds(),
        facts(search.summary(), redacted));
  }

  /** The same for every attempt to write it, and of no other document. */
  private String documentId(SearchIdentity identity) {
    String number = Long.toString(sequence.getAndIncrement(), ID_RADIX);
    return identity.queryId() + ':' + nodeRun.get() + ':' + number;
  }

  private static Map<String, Object> facts(SearchSummary summary, boolean redacted) {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("outcome", summary.outcome().wireName());
    Assignment assignment = summary.identity().assignment();
    if (!assignment.experiment().isEmpty()) {
      facts.put("experiment", assignment.experiment());
      facts.put("bucket", assignment.bucket().wireName());
    }
    if (summary.reply() != null) {
      List<Rewrite> rewrites = summary.reply().rewrites();
      facts.put("checkpoint_id", summary.reply().checkpointId());
      facts.put("rewrite_ids", rewrites.stream().map(Rewrite::id).toList());
      if (!redacted) {
        facts.put("rewrites", rewrites.stream().map(Rewrite::text).toList());
      }
    }
    return facts;
  }

  private static LogWriter writer(
      LogQueue queue, LogSender sender, ThreadPool threadPool, ImpressionSettings settings) {
    return new LogWriter(
        queue,
        sender,
        (task, delayMs) -> {
          // The searcher's headers and rights end here.
          ThreadContext context = threadPool.getThreadContext();
          try (ThreadContext.StoredContext ignored = context.stashContext()) {
            threadPool.schedule(task, TimeValue.timeValueMillis(delayMs), ThreadPool.Names.GENERIC);
          }
        },
        new Backoff(() -> ThreadLocalRandom.current().nextDouble()),
        threadPool::relativeTimeInMillis,
        settings.pace());
  }
}
