package org.iterqr.opensearch.processor;

import static org.opensearch.ingest.ConfigurationUtils.newConfigurationException;
import static org.opensearch.ingest.ConfigurationUtils.readIntProperty;
import static org.opensearch.ingest.ConfigurationUtils.readOptionalMap;
import static org.opensearch.ingest.ConfigurationUtils.readOptionalStringProperty;
import static org.opensearch.ingest.ConfigurationUtils.readStringProperty;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.iterqr.opensearch.client.RewriteLimits;
import org.iterqr.opensearch.options.WholeOption;
import org.opensearch.OpenSearchException;

/**
 * Reads one processor's settings out of a pipeline. Each is taken out as it is read, for the
 * pipeline refuses what is left; one that is wrong throws naming it.
 *
 * @param type of the processor
 * @param tag of the processor, for messages
 * @param config of the pipeline
 */
record PipelineSettings(String type, String tag, Map<String, Object> config) {
  int whole(WholeOption option) {
    int value = readIntProperty(type, tag, config, option.key(), option.byDefault());
    option
        .violation(value)
        .ifPresent(
            what -> {
              throw wrong(option.key(), what);
            });
    return value;
  }

  double number(String name, double byDefault, double max) {
    Object value = config.remove(name);
    if (value != null && !(value instanceof Number)) {
      throw wrong(name, "must be a number, but was [" + value + "]");
    }
    double number = value == null ? byDefault : ((Number) value).doubleValue();
    if (!(number >= 0 && number <= max)) {
      throw wrong(name, "must be between 0 and " + max + ", but was " + number);
    }
    return number;
  }

  String label(String name) {
    String value = readStringProperty(type, tag, config, name, "");
    if (RewriteLimits.length(value) > RewriteLimits.LABEL_CHARACTERS) {
      throw wrong(name, "must be at most " + RewriteLimits.LABEL_CHARACTERS + " characters");
    }
    return value;
  }

  <T> Optional<T> choice(String name, Function<String, Optional<T>> of, List<String> names) {
    String value = readOptionalStringProperty(type, tag, config, name);
    if (value == null) {
      return Optional.empty();
    }
    Optional<T> chosen = of.apply(value);
    if (chosen.isEmpty()) {
      throw wrong(name, "must be one of " + names + ", but was [" + value + "]");
    }
    return chosen;
  }

  <T> Optional<T> object(String name, Function<Map<String, Object>, T> reader) {
    Map<String, Object> value = readOptionalMap(type, tag, config, name);
    try {
      return Optional.ofNullable(value).map(reader);
    } catch (IllegalArgumentException e) {
      throw wrong(name, e.getMessage());
    }
  }

  private OpenSearchException wrong(String name, String what) {
    return newConfigurationException(type, tag, name, what);
  }
}
