/** Page tokens: what makes later pages fit the first. */
package org.iterqr.opensearch.page;
