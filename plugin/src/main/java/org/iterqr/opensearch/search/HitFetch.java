package org.iterqr.opensearch.search;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.ChannelRank;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.ShardKey;
import org.iterqr.opensearch.fusion.Window;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.support.GroupedActionListener;
import org.opensearch.core.action.ActionListener;
import org.opensearch.index.seqno.SequenceNumbers;
import org.opensearch.search.SearchHit;

/**
 * Fetches hits of windows in full. Where hits show nothing of their query, one search fetches them
 * all; else one search per channel, of that channel's query filtered to the hits, so that
 * highlights, matched queries and inner hits are those of the query that retrieved them. A hit of
 * several channels is fetched by the original's query if it is one of them, else by the query that
 * ranks it best.
 */
public final class HitFetch {
  private HitFetch() {}

  /**
   * Names a document, whatever its version.
   *
   * @param index its index, with the cluster's alias if remote
   * @param id within the index
   */
  public record DocumentId(String index, String id) {
    /**
     * @param hit of any search
     * @return its document
     */
    public static DocumentId of(SearchHit hit) {
      return new DocumentId(hit.getIndex(), hit.getId());
    }
  }

  /**
   * Finds out which documents hits of windows are, by one search in the current thread context.
   *
   * @param retrieved the windows the hits are from
   * @param hits not empty
   * @param listener gets the documents found; those that are gone are absent
   */
  public static void identify(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> hits,
      ActionListener<Map<HitKey, DocumentId>> listener) {
    List<HitKey> keys = hits.stream().map(FusedHit::key).toList();
    retrieved
        .searches()
        .search(
            retrieved.source().identify(keys),
            ActionListener.wrap(
                response -> {
                  requireWhole(retrieved, new Channel.Original(), response);
                  Map<HitKey, DocumentId> found = new HashMap<>();
                  for (SearchHit hit : response.getHits()) {
                    found.put(HitKeys.of(hit), DocumentId.of(hit));
                  }
                  listener.onResponse(found);
                },
                listener::onFailure));
  }

  /**
   * Starts the searches in the current thread context.
   *
   * @param retrieved the windows the hits are from
   * @param missing what to fetch, not empty
   * @param listener gets the hits found; those that are gone are absent
   */
  public static void fetch(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> missing,
      ActionListener<Map<HitKey, SearchHit>> listener) {
    if (!retrieved.source().hitsShowQuery()) {
      fetchAtOnce(retrieved, missing, listener);
      return;
    }
    Map<Channel, List<HitKey>> byChannel = new LinkedHashMap<>();
    for (FusedHit hit : missing) {
      byChannel.computeIfAbsent(bestChannel(hit), c -> new ArrayList<>()).add(hit.key());
    }
    Map<HitKey, SearchHit> found = new ConcurrentHashMap<>();
    ActionListener<Void> group =
        new GroupedActionListener<>(
            ActionListener.wrap(
                ignored -> listener.onResponse(new HashMap<>(found)), listener::onFailure),
            byChannel.size());
    byChannel.forEach(
        (channel, keys) ->
            fetchChannel(
                retrieved,
                channel,
                keys,
                ActionListener.wrap(
                    response -> {
                      requireWhole(retrieved, channel, response);
                      collect(response, retrieved.source().showsSeqNo(), found);
                      group.onResponse(null);
                    },
                    group::onFailure)));
  }

  private static void fetchAtOnce(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> missing,
      ActionListener<Map<HitKey, SearchHit>> listener) {
    List<HitKey> keys = missing.stream().map(FusedHit::key).toList();
    retrieved
        .searches()
        .search(
            retrieved.source().fetch(keys),
            ActionListener.wrap(
                response -> {
                  requireWhole(retrieved, new Channel.Original(), response);
                  Map<HitKey, SearchHit> found = new HashMap<>();
                  collect(response, retrieved.source().showsSeqNo(), found);
                  listener.onResponse(found);
                },
                listener::onFailure));
  }

  private static void fetchChannel(
      ChannelResult.Retrieved retrieved,
      Channel channel,
      List<HitKey> keys,
      ActionListener<SearchResponse> listener) {
    String rewrite =
        channel instanceof Channel.Rewritten rewritten ? rewritten.rewrite().text() : null;
    Optional<Map<String, Object>> source =
        retrieved.source().fetch(retrieved.rewriting(), rewrite, keys);
    if (source.isEmpty()) {
      listener.onFailure(new IllegalStateException("a window's query cannot be made again"));
    } else {
      retrieved.searches().search(source.get(), listener);
    }
  }

  /** A hit whose shard gave no answer is not gone, unless that shard had none for the window. */
  private static void requireWhole(
      ChannelResult.Retrieved retrieved, Channel channel, SearchResponse response) {
    Set<ShardKey> failedBefore =
        retrieved.windows().stream()
            .filter(window -> window.channel().equals(channel))
            .map(Window::failedShards)
            .findFirst()
            .orElseThrow();
    if (response.isTimedOut() || !failedBefore.containsAll(HitKeys.failedShards(response))) {
      throw new IllegalStateException("not every shard answered for the page's hits");
    }
  }

  private static void collect(
      SearchResponse response, boolean showsSeqNo, Map<HitKey, SearchHit> found) {
    for (SearchHit hit : response.getHits()) {
      found.put(HitKeys.of(hit), hit);
      if (!showsSeqNo) {
        hit.setSeqNo(SequenceNumbers.UNASSIGNED_SEQ_NO);
        hit.setPrimaryTerm(SequenceNumbers.UNASSIGNED_PRIMARY_TERM);
      }
    }
  }

  private static Channel bestChannel(FusedHit hit) {
    ChannelRank first = hit.channels().getFirst();
    return first.channel() instanceof Channel.Original
        ? first.channel()
        : hit.channels().stream()
            .filter(place -> place.channel() instanceof Channel.Rewritten)
            .min(Comparator.comparingInt(ChannelRank::rank))
            .orElseThrow()
            .channel();
  }
}
