package org.iterqr.opensearch.stats;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The sections of this node.
 *
 * @param sections in the order they are shown
 */
public record StatsSections(List<StatsSection> sections) {
  /**
   * @return all sections, by name
   */
  Stat.Group read() {
    Map<String, Stat> members = new LinkedHashMap<>();
    for (StatsSection section : sections) {
      members.put(section.name(), section.read());
    }
    return new Stat.Group(members);
  }
}
