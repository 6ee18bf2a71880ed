package org.iterqr.opensearch.experiment;

import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.common.settings.Settings;

/** Settings of the running experiment; all can be changed while nodes run, together or alone. */
public final class ExperimentSettings {
  private static final Pattern LABEL = Pattern.compile("[A-Za-z0-9._-]{0,64}");
  private static final double WHOLE = 100;

  /** Names the experiment; empty means that there is none. */
  public static final Setting<String> NAME = label("plugins.iterqr.experiment.name");

  /** Another salt shuffles the clients anew. */
  public static final Setting<String> SALT = label("plugins.iterqr.experiment.salt");

  /** Share of the clients that are served with rewrites. */
  public static final Setting<Double> TREATMENT_PERCENT =
      Setting.doubleSetting(
          "plugins.iterqr.experiment.treatment_percent",
          WHOLE,
          0,
          WHOLE,
          new WithinWhole("plugins.iterqr.experiment.shadow_percent"),
          Property.NodeScope,
          Property.Dynamic);

  /** Share of the clients whose searches are rewritten and logged, but answered plainly. */
  public static final Setting<Double> SHADOW_PERCENT =
      Setting.doubleSetting(
          "plugins.iterqr.experiment.shadow_percent",
          0,
          0,
          WHOLE,
          new WithinWhole("plugins.iterqr.experiment.treatment_percent"),
          Property.NodeScope,
          Property.Dynamic);

  /** All of them. */
  public static final List<Setting<?>> ALL = List.of(NAME, SALT, TREATMENT_PERCENT, SHADOW_PERCENT);

  private ExperimentSettings() {}

  /**
   * Never throws because of the shares' sum: the node's file, persistent and transient settings are
   * each held to a whole, but not together, and whoever throws at their union keeps the node from
   * applying the cluster state.
   *
   * @param settings of the node and the cluster
   * @return the experiment they say; shadow has at most what treatment leaves
   */
  public static Experiment read(Settings settings) {
    double treatment = share(TREATMENT_PERCENT, settings);
    return new Experiment(
        NAME.get(settings),
        SALT.get(settings),
        treatment,
        Math.min(share(SHADOW_PERCENT, settings), WHOLE - treatment));
  }

  private static double share(Setting<Double> setting, Settings settings) {
    return settings.getAsDouble(setting.getKey(), setting.getDefault(Settings.EMPTY));
  }

  private static Setting<String> label(String key) {
    return Setting.simpleString(
        key,
        value -> {
          if (!LABEL.matcher(value).matches()) {
            throw new IllegalArgumentException(
                "[" + key + "] must be at most 64 letters, digits, dots, dashes and underscores");
          }
        },
        Property.NodeScope,
        Property.Dynamic);
  }

  /** Holds a share and the other one to a whole together. */
  private record WithinWhole(String otherKey) implements Setting.Validator<Double> {
    @Override
    public void validate(Double value) {}

    @Override
    public void validate(Double value, Map<Setting<?>, Object> settings) {
      Object other = settings.values().iterator().next();
      if (other instanceof Double otherValue && value + otherValue > WHOLE) {
        throw new IllegalArgumentException(
            "[plugins.iterqr.experiment.treatment_percent] and"
                + " [plugins.iterqr.experiment.shadow_percent] must be at most 100 together");
      }
    }

    @Override
    public Iterator<Setting<?>> settings() {
      Setting<?> other =
          otherKey.equals(TREATMENT_PERCENT.getKey()) ? TREATMENT_PERCENT : SHADOW_PERCENT;
      return List.<Setting<?>>of(other).iterator();
    }
  }
}
