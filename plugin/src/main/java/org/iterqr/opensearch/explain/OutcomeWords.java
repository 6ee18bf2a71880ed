package org.iterqr.opensearch.explain;

import org.iterqr.opensearch.outcome.Outcome;

/** Says outcomes in words, for people who look at one search. */
final class OutcomeWords {
  private OutcomeWords() {}

  /**
   * @param outcome of a search
   * @return what it means for the page
   */
  static String of(Outcome outcome) {
    return switch (outcome) {
      case FUSED -> "The page is cut from the fused list below.";
      case EXPANDED -> "Expanded: the rewrites are part of the search's own query.";
      case SHADOW -> "Shadow: rewrites were made and logged, the page is the original's.";
      case DISABLED -> "Switched off, by the pipeline or the request.";
      case SKIPPED_POLICY -> "The policy does not rewrite queries of this length.";
      case ORIGINAL_SUFFICES -> "The policy weighs no rewrite, or the original has enough hits.";
      case NO_REWRITES -> "The server proposed no rewrite, so the page is the original's.";
      case TIMEOUT -> "The budget ran out before the page was fused, so it is the original's.";
      case UNAVAILABLE -> "No rewrite server could be reached.";
      case BAD_REPLY -> "What the rewrite server sent is not a reply of the contract.";
      case REJECTED -> "The query is over the contract's limits, or the server refused the call.";
      case BREAKER_OPEN -> "No server was asked: calls failed, and the circuit breaker is open.";
      case OVERLOADED -> "No server was asked: too many calls of this node are in flight.";
      case WINDOWS_FAILED -> "The windows or the page's missing hits could not be searched.";
      case SKIPPED_SORT -> "Passed through: it is sorted otherwise than by score.";
      case SKIPPED_COLLAPSE -> "Passed through: it is collapsed.";
      case SKIPPED_SEARCH_AFTER -> "Passed through: it pages by search_after.";
      case SKIPPED_MIN_SCORE -> "Passed through: it has a min_score.";
      case SKIPPED_SCROLL -> "Passed through: it scrolls.";
      case SKIPPED_PIT -> "Passed through: it searches a point in time.";
      case SKIPPED_CCS -> "Passed through: it searches other clusters.";
      case SKIPPED_SIZE_ZERO -> "Passed through: it asks for no hits.";
      case SKIPPED_SUGGEST_ONLY -> "Passed through: it asks for suggestions only.";
      case SKIPPED_PAST_WINDOW -> "Passed through: from + size is past the window.";
      case SKIPPED_NO_TEXT -> "Passed through: its query has no user's text to replace.";
      case SKIPPED_SCRIPT -> "Passed through: its scripts could fail on what rewrites match.";
      case SKIPPED_CLAUSES -> "Passed through: its clauses leave rewrites no room in the limit.";
      case PAGE_UNPINNED -> "A later page without a valid page token is the original's.";
      case CONTROL -> "The client is in the control arm of an experiment.";
      case ERROR -> "A fault of the plugin, or the pipeline has no [query_rewrite].";
    };
  }
}
