package org.iterqr.opensearch.stats;

/**
 * One part of {@code GET /_plugins/_iterqr/stats}. Whoever counts something implements it and is
 * listed in the plugin's {@link StatsSections}; transport, adding up and rendering are done for it.
 */
public interface StatsSection {
  /**
   * @return key of the section, lower snake case
   */
  String name();

  /**
   * Called on a management thread for each request; need not be one consistent cut.
   *
   * @return what was counted on this node since it started, and states as they are
   */
  Stat.Group read();
}
