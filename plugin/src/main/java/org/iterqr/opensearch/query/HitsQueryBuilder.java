package org.iterqr.opensearch.query;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.lucene.search.MatchNoDocsQuery;
import org.apache.lucene.search.Query;
import org.iterqr.opensearch.fusion.HitKey;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.mapper.SeqNoFieldMapper;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.MatchNoneQueryBuilder;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryRewriteContext;
import org.opensearch.index.query.QueryShardContext;
import org.opensearch.plugins.SearchPlugin.QuerySpec;

/**
 * Matches exactly the given versions of documents, each with score 1. Every shard looks for its own
 * alone: a sequence number by itself names another document on each shard, and a search for those
 * of several shards would bring their namesakes along.
 *
 * <pre>{"iterqr_hits": {"dishes": {"0": [17, 42]}}}</pre>
 */
public final class HitsQueryBuilder extends AbstractQueryBuilder<HitsQueryBuilder> {
  /** Name of the query. */
  public static final String NAME = "iterqr_hits";

  private final List<HitKey> keys;

  private HitsQueryBuilder(Collection<HitKey> keys) {
    this.keys = List.copyOf(new TreeSet<>(keys));
  }

  HitsQueryBuilder(StreamInput in) throws IOException {
    super(in);
    keys = in.readList(key -> new HitKey(key.readString(), key.readVInt(), key.readZLong()));
  }

  /**
   * @return its registration
   */
  public static QuerySpec<HitsQueryBuilder> spec() {
    return new QuerySpec<>(NAME, HitsQueryBuilder::new, HitsQueryBuilder::fromXContent);
  }

  /**
   * @param keys of the versions
   * @return a query for them
   */
  public static HitsQueryBuilder of(Collection<HitKey> keys) {
    return new HitsQueryBuilder(keys);
  }

  /**
   * @param keys of the versions
   * @return a query for them, in map form
   */
  static Map<String, Object> json(Collection<HitKey> keys) {
    return Map.of(NAME, byShard(keys));
  }

  private static Map<String, Map<String, List<Long>>> byShard(Collection<HitKey> keys) {
    Map<String, Map<String, List<Long>>> indices = new TreeMap<>();
    for (HitKey key : keys) {
      indices
          .computeIfAbsent(key.index(), index -> new TreeMap<>())
          .computeIfAbsent(Integer.toString(key.shard()), shard -> new ArrayList<>())
          .add(key.seqNo());
    }
    return indices;
  }

  private static HitsQueryBuilder fromXContent(XContentParser parser) throws IOException {
    List<HitKey> keys = new ArrayList<>();
    for (Map.Entry<String, Object> index : parser.map().entrySet()) {
      for (Map.Entry<?, ?> shard : object(index.getValue()).entrySet()) {
        int number = Integer.parseInt((String) shard.getKey());
        for (Object seqNo : Json.list(shard.getValue())) {
          if (!(seqNo instanceof Number whole)) {
            throw new IllegalArgumentException("[" + NAME + "] lists sequence numbers");
          }
          keys.add(new HitKey(index.getKey(), number, whole.longValue()));
        }
      }
    }
    return new HitsQueryBuilder(keys);
  }

  private static Map<?, ?> object(Object value) {
    if (value instanceof Map<?, ?> map) {
      return map;
    }
    throw new IllegalArgumentException("[" + NAME + "] names shards by index");
  }

  @Override
  protected QueryBuilder doRewrite(QueryRewriteContext context) {
    QueryShardContext shard = context.convertToShardContext();
    // So that shards of other hits need not search at all.
    return shard != null && seqNosOf(shard).isEmpty() ? new MatchNoneQueryBuilder() : this;
  }

  @Override
  protected Query doToQuery(QueryShardContext context) {
    List<Long> seqNos = seqNosOf(context);
    return seqNos.isEmpty()
        ? new MatchNoDocsQuery("hits of other shards")
        : context.fieldMapper(SeqNoFieldMapper.NAME).termsQuery(seqNos, context);
  }

  private List<Long> seqNosOf(QueryShardContext shard) {
    String index = shard.getFullyQualifiedIndex().getName();
    return keys.stream()
        .filter(key -> key.shard() == shard.getShardId() && key.index().equals(index))
        .map(HitKey::seqNo)
        .toList();
  }

  @Override
  protected void doWriteTo(StreamOutput out) throws IOException {
    out.writeCollection(
        keys,
        (to, key) -> {
          to.writeString(key.index());
          to.writeVInt(key.shard());
          to.writeZLong(key.seqNo());
        });
  }

  @Override
  protected void doXContent(XContentBuilder builder, Params params) throws IOException {
    builder.field(NAME, byShard(keys));
  }

  @Override
  protected boolean doEquals(HitsQueryBuilder other) {
    return keys.equals(other.keys);
  }

  @Override
  protected int doHashCode() {
    return keys.hashCode();
  }

  @Override
  public String getWriteableName() {
    return NAME;
  }
}
