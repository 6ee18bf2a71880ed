package org.iterqr.opensearch.search;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;
import org.iterqr.opensearch.query.NamedClause;
import org.iterqr.opensearch.query.Rewriting;
import org.iterqr.opensearch.query.SearchSource;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.common.util.concurrent.CountDown;
import org.opensearch.core.action.ActionListener;
import org.opensearch.search.SearchHit;

/**
 * Searches the windows of the original, of its named vector clauses and of each rewrite, side by
 * side. The original's and the clauses' must succeed; a rewrite that cannot be searched (text for a
 * numeric field, say) has no window; if none can, the whole fails.
 */
final class WindowSearch {
  private static final Logger logger = LogManager.getLogger(WindowSearch.class);

  private final AtomicReferenceArray<Window> windows;
  private final CountDown open;
  private final ActionListener<List<Window>> listener;

  private WindowSearch(int channels, ActionListener<List<Window>> listener) {
    this.windows = new AtomicReferenceArray<>(channels);
    this.open = new CountDown(channels);
    this.listener = ActionListener.notifyOnce(listener);
  }

  /**
   * Starts the searches in the current thread context.
   *
   * @param searches of the request
   * @param source of the request
   * @param rewriting how rewrites are searched for
   * @param rewrites at least one
   * @param size of each window
   * @param listener gets the windows: the original's, its clauses', the rewrites' in their order
   */
  static void search(
      ChildSearches searches,
      SearchSource source,
      Rewriting rewriting,
      List<Rewrite> rewrites,
      int size,
      ActionListener<List<Window>> listener) {
    List<NamedClause> clauses = source.namedClauses();
    WindowSearch run = new WindowSearch(1 + clauses.size() + rewrites.size(), listener);
    int slot = 0;
    run.start(searches, new Channel.Original(), source.window(rewriting, null, size), slot++);
    for (NamedClause clause : clauses) {
      Channel channel = new Channel.Clause(clause.name());
      run.start(searches, channel, Optional.of(source.window(clause, size)), slot++);
    }
    for (Rewrite rewrite : rewrites) {
      Channel channel = new Channel.Rewritten(rewrite);
      run.start(searches, channel, source.window(rewriting, rewrite.text(), size), slot++);
    }
  }

  private void start(
      ChildSearches searches, Channel channel, Optional<Map<String, Object>> window, int slot) {
    ActionListener<SearchResponse> slotListener =
        ActionListener.wrap(
            response -> {
              windows.set(slot, window(channel, response));
              slotDone();
            },
            failure -> {
              if (channel instanceof Channel.Rewritten) {
                logger.debug("a rewrite's window could not be searched", failure);
                slotDone();
              } else {
                // Without it nobody could say what only rewrites retrieved.
                listener.onFailure(failure);
              }
            });
    if (window.isEmpty()) {
      slotDone();
    } else {
      searches.search(window.get(), slotListener);
    }
  }

  private void slotDone() {
    if (!open.countDown()) {
      return;
    }
    List<Window> searched = new ArrayList<>(windows.length());
    for (int slot = 0; slot < windows.length(); slot++) {
      if (windows.get(slot) != null) {
        searched.add(windows.get(slot));
      }
    }
    if (searched.stream().anyMatch(window -> window.channel() instanceof Channel.Rewritten)) {
      listener.onResponse(searched);
    } else {
      listener.onFailure(new IllegalStateException("no rewrite's window could be searched"));
    }
  }

  private static Window window(Channel channel, SearchResponse response) {
    List<WindowHit> hits = new ArrayList<>();
    for (SearchHit hit : response.getHits()) {
      // Score zero: only filters matched. A user's query may be so loose on purpose; a document
      // that shares no word with a rewrite was not retrieved by it.
      if (!(channel instanceof Channel.Rewritten) || hit.getScore() > 0) {
        hits.add(new WindowHit(HitKeys.of(hit), hit.getScore()));
      }
    }
    return new Window(channel, hits, response.isTimedOut(), HitKeys.failedShards(response));
  }
}
