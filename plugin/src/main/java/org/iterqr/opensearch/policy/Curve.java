package org.iterqr.opensearch.policy;

import java.util.List;

/**
 * A function from 0..1 to 0..1 in straight pieces, level before the first point and after the last.
 *
 * @param points at least one, in strictly rising order of x
 */
public record Curve(List<Point> points) {
  /** 1 everywhere. */
  public static final Curve ONE = new Curve(List.of(new Point(0, 1)));

  /**
   * A corner.
   *
   * @param x 0 to 1
   * @param y 0 to 1
   */
  public record Point(double x, double y) {}

  /**
   * @param x any number
   * @return the function's value
   */
  public double at(double x) {
    Point left = points.getFirst();
    if (x <= left.x()) {
      return left.y();
    }
    for (Point right : points) {
      if (x < right.x()) {
        return left.y() + (right.y() - left.y()) * (x - left.x()) / (right.x() - left.x());
      }
      left = right;
    }
    return left.y();
  }

  boolean rises() {
    return steps(1);
  }

  boolean falls() {
    return steps(-1);
  }

  private boolean steps(int sign) {
    for (int i = 1; i < points.size(); i++) {
      if (sign * (points.get(i).y() - points.get(i - 1).y()) < 0) {
        return false;
      }
    }
    return true;
  }
}
