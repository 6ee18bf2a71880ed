package org.iterqr.opensearch.response;

/**
 * Where one search's channel spent its time, in nanoseconds; negative where a stage was not
 * reached.
 *
 * @param rewriteNanos from the request processor until the rewrites were there
 * @param windowsNanos searching the windows
 * @param fetchNanos fetching the page's missing hits
 * @param totalNanos from the request processor until the response was made
 * @param addedNanos what the caller waited for the channel alone: before the original search could
 *     begin and after its response was there
 */
public record Timings(
    long rewriteNanos, long windowsNanos, long fetchNanos, long totalNanos, long addedNanos) {
  /** A stage that was not reached. */
  public static final long NOT_REACHED = -1;
}
