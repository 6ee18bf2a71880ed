package org.iterqr.opensearch.stats;

import org.opensearch.action.ActionType;

/** Reads the statistics of nodes. */
public final class StatsAction extends ActionType<StatsResponse> {
  /** The action's name, which permissions refer to. */
  public static final String NAME = "cluster:monitor/iterqr/stats";

  /** The one instance. */
  public static final StatsAction INSTANCE = new StatsAction();

  private StatsAction() {
    super(NAME, StatsResponse::new);
  }
}
