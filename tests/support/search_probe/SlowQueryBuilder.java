package org.iterqr.probe;

import java.io.IOException;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.search.ConstantScoreScorer;
import org.apache.lucene.search.ConstantScoreWeight;
import org.apache.lucene.search.DocIdSetIterator;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.QueryVisitor;
import org.apache.lucene.search.ScoreMode;
import org.apache.lucene.search.Scorer;
import org.apache.lucene.search.ScorerSupplier;
import org.apache.lucene.search.TwoPhaseIterator;
import org.apache.lucene.search.Weight;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.index.query.AbstractQueryBuilder;
import org.opensearch.index.query.QueryShardContext;
import org.opensearch.plugins.SearchPlugin.QuerySpec;

/** {@code {"probe_slow": {"ms": 50}}} matches every document, and takes so long for each that is looked at. */
final class SlowQueryBuilder extends AbstractQueryBuilder<SlowQueryBuilder> {
  private static final String NAME = "probe_slow";

  private final int ms;

  private SlowQueryBuilder(int ms) {
    this.ms = ms;
  }

  private SlowQueryBuilder(StreamInput in) throws IOException {
    super(in);
    ms = in.readVInt();
  }

  static QuerySpec<SlowQueryBuilder> spec() {
    return new QuerySpec<>(NAME, SlowQueryBuilder::new, SlowQueryBuilder::fromXContent);
  }

  private static SlowQueryBuilder fromXContent(XContentParser parser) throws IOException {
    return new SlowQueryBuilder(((Number) parser.map().get("ms")).intValue());
  }

  @Override
  protected void doWriteTo(StreamOutput out) throws IOException {
    out.writeVInt(ms);
  }

  @Override
  protected void doXContent(XContentBuilder builder, Params params) throws IOException {
    builder.startObject(NAME).field("ms", ms).endObject();
  }

  @Override
  protected Query doToQuery(QueryShardContext context) {
    return new SlowQuery(ms);
  }

  @Override
  protected boolean doEquals(SlowQueryBuilder other) {
    return ms == other.ms;
  }

  @Override
  protected int doHashCode() {
    return ms;
  }

  @Override
  public String getWriteableName() {
    return NAME;
  }

  private static final class SlowQuery extends Query {
    private final int ms;

    SlowQuery(int ms) {
      this.ms = ms;
    }

    @Override
    public Weight createWeight(IndexSearcher searcher, ScoreMode scoreMode, float boost) {
      return new ConstantScoreWeight(this, boost) {
        @Override
        public ScorerSupplier scorerSupplier(LeafReaderContext context) {
          int documents = context.reader().maxDoc();
          return new ScorerSupplier() {
            @Override
            public Scorer get(long leadCost) {
              DocIdSetIterator all = DocIdSetIterator.all(documents);
              return new ConstantScoreScorer(
                  score(),
                  scoreMode,
                  new TwoPhaseIterator(all) {
                    @Override
                    public boolean matches() {
                      try {
                        Thread.sleep(ms);
                      } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                      }
                      return true;
                    }

                    @Override
                    public float matchCost() {
                      return 1_000_000;
                    }
                  });
            }

            @Override
            public long cost() {
              return documents;
            }
          };
        }

        @Override
        public boolean isCacheable(LeafReaderContext context) {
          return false;
        }
      };
    }

    @Override
    public void visit(QueryVisitor visitor) {
      visitor.visitLeaf(this);
    }

    @Override
    public String toString(String field) {
      return NAME;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof SlowQuery query && query.ms == ms;
    }

    @Override
    public int hashCode() {
      return ms;
    }
  }
}
