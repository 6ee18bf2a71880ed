package org.iterqr.opensearch.ubi;

import java.util.List;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;

/** Settings of the work beside, or in place of, the UBI plugin. */
public final class UbiSettings {
  /**
   * Whether this plugin reads {@code ext.ubi}. Two plugins that do would stop the node, so the
   * default is whether the UBI plugin is not installed.
   */
  public static final Setting<Boolean> REGISTER_EXT =
      Setting.boolSetting(
          "plugins.iterqr.ubi.register_ext",
          settings -> Boolean.toString(!UbiPlugin.isInstalled(settings)),
          Property.NodeScope);

  /**
   * Whether searches are written to {@code ubi_queries}. Has no effect where the UBI plugin is
   * there: it writes them.
   */
  public static final Setting<Boolean> WRITE_QUERIES =
      Setting.boolSetting(
          "plugins.iterqr.ubi.write_queries", false, Property.NodeScope, Property.Dynamic);

  /** All of them. */
  public static final List<Setting<?>> ALL = List.of(REGISTER_EXT, WRITE_QUERIES);

  private UbiSettings() {}
}
