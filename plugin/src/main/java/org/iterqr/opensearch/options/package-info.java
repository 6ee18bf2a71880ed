/** What a pipeline or a request may choose, and the limits of it. */
package org.iterqr.opensearch.options;
