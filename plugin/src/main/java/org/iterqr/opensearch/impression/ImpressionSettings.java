package org.iterqr.opensearch.impression;

import java.util.List;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.common.unit.ByteSizeValue;

/**
 * What is logged, and with which means.
 *
 * @param logsImpressions whether impressions are logged
 * @param sampleRate share of the clients whose searches are logged
 * @param redactsQueries whether what the user typed, its rewrites, and the application's own
 *     attributes are left out
 * @param retention age at which impressions are deleted; negative keeps them
 * @param limits of what waits to be written, for each log
 * @param pace of writing
 */
public record ImpressionSettings(
    boolean logsImpressions,
    double sampleRate,
    boolean redactsQueries,
    TimeValue retention,
    LogQueue.Limits limits,
    LogWriter.Pace pace) {
  private static final int MAX_DOCUMENTS = 1_000_000;
  private static final int MAX_BATCH_DOCUMENTS = 10_000;
  private static final long BATCH_BYTES = 5L << 20;
  private static final TimeValue MIN_RETENTION = TimeValue.timeValueSeconds(1);

  /** Whether impressions are logged. */
  public static final Setting<Boolean> ENABLED =
      Setting.boolSetting(
          "plugins.iterqr.impressions.enabled", false, Property.NodeScope, Property.Dynamic);

  /** Share of the clients whose searches are logged, in impressions and UBI queries alike. */
  public static final Setting<Double> SAMPLE_RATE =
      Setting.doubleSetting(
          "plugins.iterqr.impressions.sample_rate", 1, 0, 1, Property.NodeScope, Property.Dynamic);

  /** Whether what the user typed, its rewrites, and the application's attributes are left out. */
  public static final Setting<Boolean> REDACT_QUERIES =
      Setting.boolSetting(
          "plugins.iterqr.impressions.redact_queries", false, Property.NodeScope, Property.Dynamic);

  /** Age at which impressions are deleted; -1 keeps them. */
  public static final Setting<TimeValue> RETENTION =
      Setting.timeSetting(
          "plugins.iterqr.impressions.retention",
          TimeValue.timeValueDays(90),
          TimeValue.MINUS_ONE,
          ImpressionSettings::checkRetention,
          Property.NodeScope,
          Property.Dynamic);

  /** Most documents that wait to be written. */
  public static final Setting<Integer> QUEUE_DOCUMENTS =
      Setting.intSetting(
          "plugins.iterqr.impressions.queue.max_documents",
          20_000,
          1,
          MAX_DOCUMENTS,
          Property.NodeScope,
          Property.Dynamic);

  /** Their size at most. */
  public static final Setting<ByteSizeValue> QUEUE_SIZE =
      Setting.byteSizeSetting(
          "plugins.iterqr.impressions.queue.max_size",
          new ByteSizeValue(32L << 20),
          new ByteSizeValue(1L << 10),
          new ByteSizeValue(1L << 30),
          Property.NodeScope,
          Property.Dynamic);

  /** Most documents of one bulk request. */
  public static final Setting<Integer> BULK_DOCUMENTS =
      Setting.intSetting(
          "plugins.iterqr.impressions.bulk.max_documents",
          500,
          1,
          MAX_BATCH_DOCUMENTS,
          Property.NodeScope,
          Property.Dynamic);

  /** Longest time a document waits for others. */
  public static final Setting<TimeValue> FLUSH_INTERVAL =
      Setting.timeSetting(
          "plugins.iterqr.impressions.flush_interval",
          TimeValue.timeValueSeconds(1),
          TimeValue.timeValueMillis(10),
          TimeValue.timeValueMinutes(10),
          Property.NodeScope,
          Property.Dynamic);

  /** All of them. */
  public static final List<Setting<?>> ALL =
      List.of(
          ENABLED,
          SAMPLE_RATE,
          REDACT_QUERIES,
          RETENTION,
          QUEUE_DOCUMENTS,
          QUEUE_SIZE,
          BULK_DOCUMENTS,
          FLUSH_INTERVAL);

  /**
   * @param settings of the node or the cluster
   * @return what they say
   */
  public static ImpressionSettings of(Settings settings) {
    return new ImpressionSettings(
        ENABLED.get(settings),
        SAMPLE_RATE.get(settings),
        REDACT_QUERIES.get(settings),
        RETENTION.get(settings),
        new LogQueue.Limits(QUEUE_DOCUMENTS.get(settings), QUEUE_SIZE.get(settings).getBytes()),
        new LogWriter.Pace(
            BULK_DOCUMENTS.get(settings), BATCH_BYTES, FLUSH_INTERVAL.get(settings).millis()));
  }

  private static void checkRetention(TimeValue value) {
    if (!value.equals(TimeValue.MINUS_ONE) && value.compareTo(MIN_RETENTION) < 0) {
      throw new IllegalArgumentException(
          "[plugins.iterqr.impressions.retention] must be -1 or at least "
              + MIN_RETENTION
              + ", but was "
              + value);
    }
  }
}
