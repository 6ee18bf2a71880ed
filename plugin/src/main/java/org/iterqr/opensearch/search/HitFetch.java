package org.iterqr.opensearch.search;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
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
   * What came of a fetch.
   *
   * @param found by version
   * @param gone versions that are no longer there, of those asked for and of the suspects
   */
  public record Fetched<H>(Map<HitKey, H> found, Set<HitKey> gone) {}

  /**
   * Finds out which documents hits of windows are, in the current thread context.
   *
   * @param retrieved the windows the hits are from
   * @param hits not empty
   * @param suspects other versions of which is asked whether they are gone
   * @param listener gets the documents found
   */
  public static void identify(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> hits,
      Set<HitKey> suspects,
      ActionListener<Fetched<DocumentId>> listener) {
    List<HitKey> keys = keys(hits);
    searchAtOnce(
        retrieved,
        retrieved.source().identify(keys, suspects),
        keys,
        suspects,
        DocumentId::of,
        listener);
  }

  /**
   * Starts the searches in the current thread context.
   *
   * @param retrieved the windows the hits are from
   * @param missing what to fetch, not empty
   * @param suspects other versions of which is asked whether they are gone
   * @param listener gets the hits found
   */
  public static void fetch(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> missing,
      Set<HitKey> suspects,
      ActionListener<Fetched<SearchHit>> listener) {
    if (retrieved.source().hitsShowQuery()) {
      fetchByChannel(retrieved, missing, suspects, listener);
      return;
    }
    List<HitKey> keys = keys(missing);
    boolean showsSeqNo = retrieved.source().showsSeqNo();
    searchAtOnce(
        retrieved,
        retrieved.source().fetch(keys, suspects),
        keys,
        suspects,
        hit -> shown(hit, showsSeqNo),
        listener);
  }

  private static List<HitKey> keys(List<FusedHit> hits) {
    return hits.stream().map(FusedHit::key).toList();
  }

  /** One search: where nothing changes, its total says that no suspect is gone. */
  private static <H> void searchAtOnce(
      ChannelResult.Retrieved retrieved,
      Map<String, Object> source,
      List<HitKey> keys,
      Set<HitKey> suspects,
      Function<SearchHit, H> read,
      ActionListener<Fetched<H>> listener) {
    retrieved
        .searches()
        .search(
            source,
            ActionListener.wrap(
                response -> {
                  requireWhole(retrieved, new Channel.Original(), response);
                  Set<HitKey> gone = new HashSet<>(keys);
                  Map<HitKey, H> found = new HashMap<>();
                  for (SearchHit hit : response.getHits()) {
                    HitKey key = HitKeys.of(hit);
                    // Where some are gone, the last places are taken by suspects.
                    if (gone.remove(key)) {
                      found.put(key, read.apply(hit));
                    }
                  }
                  if (suspects.isEmpty()
                      || response.getHits().getTotalHits().value()
                          == found.size() + suspects.size()) {
                    listener.onResponse(new Fetched<>(found, gone));
                    return;
                  }
                  findGone(
                      retrieved,
                      suspects,
                      ActionListener.wrap(
                          others -> {
                            gone.addAll(others);
                            listener.onResponse(new Fetched<>(found, gone));
                          },
                          listener::onFailure));
                },
                listener::onFailure));
  }

  private static void findGone(
      ChannelResult.Retrieved retrieved,
      Set<HitKey> suspects,
      ActionListener<Set<HitKey>> listener) {
    retrieved
        .searches()
        .search(
            retrieved.source().live(suspects),
            ActionListener.wrap(
                response -> {
                  requireWhole(retrieved, new Channel.Original(), response);
                  Set<HitKey> gone = new HashSet<>(suspects);
                  for (SearchHit hit : response.getHits()) {
                    gone.remove(HitKeys.of(hit));
                  }
                  listener.onResponse(gone);
                },
                listener::onFailure));
  }

  private static void fetchByChannel(
      ChannelResult.Retrieved retrieved,
      List<FusedHit> missing,
      Set<HitKey> suspects,
      ActionListener<Fetched<SearchHit>> listener) {
    Map<Channel, List<HitKey>> byChannel = new LinkedHashMap<>();
    for (FusedHit hit : missing) {
      byChannel.computeIfAbsent(bestChannel(hit), c -> new ArrayList<>()).add(hit.key());
    }
    Map<HitKey, SearchHit> found = new ConcurrentHashMap<>();
    Set<HitKey> gone = ConcurrentHashMap.newKeySet();
    gone.addAll(keys(missing));
    boolean showsSeqNo = retrieved.source().showsSeqNo();
    ActionListener<Void> group =
        new GroupedActionListener<>(
            ActionListener.wrap(
                ignored ->
                    listener.onResponse(new Fetched<>(new HashMap<>(found), new HashSet<>(gone))),
                listener::onFailure),
            byChannel.size() + (suspects.isEmpty() ? 0 : 1));
    byChannel.forEach(
        (channel, keys) ->
            fetchChannel(
                retrieved,
                channel,
                keys,
                ActionListener.wrap(
                    response -> {
                      requireWhole(retrieved, channel, response);
                      for (SearchHit hit : response.getHits()) {
                        HitKey key = HitKeys.of(hit);
                        found.put(key, shown(hit, showsSeqNo));
                        gone.remove(key);
                      }
                      group.onResponse(null);
                    },
                    group::onFailure)));
    if (!suspects.isEmpty()) {
      findGone(
          retrieved,
          suspects,
          ActionListener.wrap(
              others -> {
                gone.addAll(others);
                group.onResponse(null);
              },
              group::onFailure));
    }
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

  /** As the user's search shows it. */
  private static SearchHit shown(SearchHit hit, boolean showsSeqNo) {
    if (!showsSeqNo) {
      hit.setSeqNo(SequenceNumbers.UNASSIGNED_SEQ_NO);
      hit.setPrimaryTerm(SequenceNumbers.UNASSIGNED_PRIMARY_TERM);
    }
    return hit;
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
