package org.iterqr.opensearch.ubi;

import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.plugins.PluginInfo;

/** The User Behavior Insights plugin of the OpenSearch project, which may be on the node. */
final class UbiPlugin {
  private static final Logger logger = LogManager.getLogger(UbiPlugin.class);
  private static final String CLASS = "org.opensearch.ubi.UbiPlugin";

  private UbiPlugin() {}

  /**
   * Looks into the plugin folder: plugins are made one after the other, so none can ask for
   * another.
   *
   * @param settings of the node
   * @return whether its home has the plugin
   */
  static boolean isInstalled(Settings settings) {
    String home = Environment.PATH_HOME_SETTING.get(settings);
    return !home.isEmpty() && isIn(Path.of(home, "plugins"));
  }

  /**
   * @param plugins folder with a folder for each plugin
   * @return whether one of them is the UBI plugin
   */
  static boolean isIn(Path plugins) {
    if (!Files.isDirectory(plugins)) {
      return false;
    }
    try (DirectoryStream<Path> folders = Files.newDirectoryStream(plugins)) {
      for (Path folder : folders) {
        Path descriptor = folder.resolve(PluginInfo.OPENSEARCH_PLUGIN_PROPERTIES);
        if (Files.isRegularFile(descriptor) && CLASS.equals(className(descriptor))) {
          return true;
        }
      }
    } catch (IOException e) {
      logger.warn("the plugins in {} cannot be listed: {}", plugins, e.getClass().getName());
    }
    return false;
  }

  private static String className(Path descriptor) throws IOException {
    Properties properties = new Properties();
    try (Reader reader = Files.newBufferedReader(descriptor, StandardCharsets.UTF_8)) {
      properties.load(reader);
    }
    return properties.getProperty("classname", "").strip();
  }
}
