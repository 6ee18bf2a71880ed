package org.iterqr.opensearch.slowlog;

import java.util.List;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;

/**
 * What is logged as slow.
 *
 * @param thresholdNanos searches whose channel added more are logged; negative logs none
 * @param linesPerMinute most lines
 * @param queryText whether a line has the user's text
 */
public record SlowLogSettings(long thresholdNanos, int linesPerMinute, boolean queryText) {
  /** Added latency from which on a search is logged; -1 logs none. */
  public static final Setting<TimeValue> THRESHOLD =
      Setting.timeSetting(
          "plugins.iterqr.slowlog.threshold",
          TimeValue.MINUS_ONE,
          TimeValue.MINUS_ONE,
          Setting.Property.NodeScope,
          Setting.Property.Dynamic);

  /** Most lines in a minute; what is beyond is counted. */
  public static final Setting<Integer> LINES_PER_MINUTE =
      Setting.intSetting(
          "plugins.iterqr.slowlog.lines_per_minute",
          60,
          1,
          100_000,
          Setting.Property.NodeScope,
          Setting.Property.Dynamic);

  /** Whether lines have the user's text, which may be personal. */
  public static final Setting<Boolean> QUERY_TEXT =
      Setting.boolSetting(
          "plugins.iterqr.slowlog.query_text",
          false,
          Setting.Property.NodeScope,
          Setting.Property.Dynamic);

  /** All of them. */
  public static final List<Setting<?>> ALL = List.of(THRESHOLD, LINES_PER_MINUTE, QUERY_TEXT);

  /** Logs nothing. */
  static final SlowLogSettings OFF = new SlowLogSettings(-1, 1, false);

  /**
   * @param settings of the node or the cluster
   * @return what they say
   */
  static SlowLogSettings of(Settings settings) {
    TimeValue threshold = THRESHOLD.get(settings);
    return new SlowLogSettings(
        threshold.equals(TimeValue.MINUS_ONE) ? -1 : threshold.nanos(),
        LINES_PER_MINUTE.get(settings),
        QUERY_TEXT.get(settings));
  }
}
