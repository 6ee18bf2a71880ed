/** The two processors of a search pipeline, and the making of the response. */
package org.iterqr.opensearch.processor;
